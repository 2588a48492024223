//! Runs WebAssembly components as modules.
