// The cells of fse's tables: which symbol each has, and which of the symbol's cells it is. The includer has slots.glsl.

// The table is walked in this many stretches at once.
#define WALKS 8u
// How often each symbol has occurred before a stretch, and f, so that the next cell's y is found there; two stretches in a word.
shared uint walked[256u * WALKS / 2u];

// What the includer defines: symbols, kept between the steps, and what becomes of a cell. y is f + i in the i-th cell of
// its symbol.
void put_cell_symbol(uint cell, uint symbol);
uint cell_symbol(uint cell);
void put_cell(uint cell, uint symbol, uint y);

// Adds 1 and returns the value before.
uint count_symbol(uint walk, uint symbol) {
    uint shift = 16u * (walk & 1u);
    return atomicAdd(walked[256u * (walk / 2u) + symbol], 1u << shift) >> shift & 0xffffu;
}

// Calls put_cell for each of 2^table_log cells. Called in uniform control flow.
void spread(uint table_log) {
    uint own = gl_LocalInvocationIndex;
    for (uint i = own; i < 256u * WALKS / 2u; i += gl_WorkGroupSize.x) walked[i] = 0u;
    barrier();
    uint cells = 1u << table_log;
    uint stretch = cells / WALKS;
    // The multiplicative inverse of the step, by Newton's iteration: 3 bits, 6, 12.
    uint step = cells / 2u + cells / 8u + 3u;
    uint inverse = step * (2u - step * step);
    inverse *= 2u - step * inverse;
    for (uint cell = own; cell < cells; cell += gl_WorkGroupSize.x) {
        uint symbol = find_slot(cell * inverse & (cells - 1u));
        put_cell_symbol(cell, symbol);
        count_symbol(cell / stretch, symbol);
    }
    barrier();
    for (uint symbol = own; symbol < 256u; symbol += gl_WorkGroupSize.x) {
        uint y = cums[symbol] & 0xffffu;
        for (uint i = symbol; i < 256u * WALKS / 2u; i += 256u) {
            uint counts = walked[i];
            uint next = y + (counts & 0xffffu);
            walked[i] = next << 16 | y;
            y = next + (counts >> 16);
        }
    }
    barrier();
    for (uint walk = own; walk < WALKS; walk += gl_WorkGroupSize.x) {
        for (uint cell = walk * stretch; cell < (walk + 1u) * stretch; cell++) {
            uint symbol = cell_symbol(cell);
            put_cell(cell, symbol, count_symbol(walk, symbol));
        }
    }
}
