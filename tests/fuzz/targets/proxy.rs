//! See `oracles/proxy.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| oracles::proxy(data));
