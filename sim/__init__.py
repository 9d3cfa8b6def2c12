"""flopclock: how long compute takes on which hardware, and where every device-second goes."""
