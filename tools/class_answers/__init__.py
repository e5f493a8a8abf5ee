"""Answers to what users asked about Go's size classes, in numbers: the parts of docs/size-class-questions.md.

Each question is a module with one function ``answer()``, which returns the text between two marks of the page and the
figures that stand beside it.  ``charts`` draws what no figure of mheaplab has, ``programs`` has what is asked about.
``tools/size_class_answers.py`` writes and checks.
"""
