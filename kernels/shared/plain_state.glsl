// The states of rans and huff in decode kernels: at least 2^16 before and after each symbol.

bool is_initial(uint word) { return word >= 0x10000u; }

uint initial_state(uint word) { return word; }

void take_word(inout uint x, uint word) { x = x << 16 | word; }

void finish_symbol(inout uint x, uint entry) {}

uint seed_of(uint x) { return x ^ 0x10000u; }
