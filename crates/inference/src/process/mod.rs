//! A version in a process of its own.

#[cfg_attr(not(test), expect(dead_code, reason = "the engine that speaks it follows"))]
mod frame;
