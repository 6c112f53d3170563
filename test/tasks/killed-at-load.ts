// As when the kernel is out of memory, or a person kills the wrong process: no fault of the module.
process.kill(process.pid, 'SIGKILL')
