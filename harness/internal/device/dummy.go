package device

var dummy = &Kind{Name: "dummy"}
