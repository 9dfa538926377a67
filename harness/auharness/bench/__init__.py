"""What whole models cost: parameters, MACs and FLOPs counted on no device, times and memory measured on one."""
