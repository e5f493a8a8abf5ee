module timego

go 1.19
