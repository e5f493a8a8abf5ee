"""placeholder"""
def verify_heap(h): pass
