module casesgo

go 1.19
