#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    brevbro_fuzz::sealed(input);
});
