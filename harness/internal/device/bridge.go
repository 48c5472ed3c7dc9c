package device

// A bridge takes the kernel's defaults: no STP, so that a port forwards at once.
var bridge = &Kind{Name: "bridge", Speaks: true}
