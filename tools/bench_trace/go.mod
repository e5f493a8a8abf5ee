module mheaplab/traces

go 1.25
