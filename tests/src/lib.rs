//! Whole-process tests of Weir.
