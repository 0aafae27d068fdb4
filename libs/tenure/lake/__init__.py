"""The folder of Delta tables as everyone sees it: where tables lie, what a release is, how Arrow reads one."""
