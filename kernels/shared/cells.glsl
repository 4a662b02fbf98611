// The cells of fse's tables. The cell of a slot is its number with the `table_log` bits reversed.

// Which of its symbol's cells that of slot 4 n + i is, if the symbol has the slots `first` to before `end`. They come in the order of their highest four bits, which
// are the lowest of a slot, reversed, and then of their slots. So before it come its symbol's slots of some classes mod 16, and those of its own class
// that are lower. Compilers know i.
uint cell_rank(uint n, uint i, uint first, uint end) {
    // The place of its class in that order is 4 * column + row.
    uint row = bitfieldReverse(n << 30);
    uint column = (i & 1u) << 1 | i >> 1;
    // The classes before its own.
    uint rows = (row > 0u ? 0x001u : 0u) | (row > 1u ? 0x100u : 0u) | (row > 2u ? 0x010u : 0u);
    uint columns = (column > 0u ? 0x1111u : 0u) | (column > 1u ? 0x4444u : 0u) | (column > 2u ? 0x2222u : 0u);
    uint before = columns | rows << i;
    uint rank = ((end >> 4) - (first >> 4)) * (4u * column + row);
    // Of the last 16 slots not all are below the end.
    rank += bitCount(before & (1u << (end & 15u)) - 1u) - bitCount(before & (1u << (first & 15u)) - 1u);
    return rank + (n >> 2) - (first + 15u - (n & 3u) * 4u - i >> 4);
}
