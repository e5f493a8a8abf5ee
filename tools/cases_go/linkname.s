// This file is empty on purpose: a package that holds an assembly file may declare
// functions without a body, which is what the linknamed functions of oplog.go are.
