// The cells of fse's tables. The cell of a slot is its number with the `table_log` bits reversed.

// Which of its symbol's cells, in ascending order, a slot's is: how many of the symbol's slots, `first` to before `end`, have lower cells. Those have the
// bits below some bit i as the slot has them, and then a 0 where the slot has a 1. Slots that many bits below which are alike are
// as far apart, so there are none but the slot itself once 2^i is their number.
uint cell_rank(uint slot, uint first, uint end) {
    uint rank = 0u;
    for (uint i = 0u; 1u << i < end - first; i++) {
        // What takes the multiples of 2^(i + 1) to these: -(slot mod 2^i), and a summand to round up.
        uint shift = (~slot & (1u << i) - 1u) + (1u << i);
        uint lower = (end + shift >> i + 1u) - (first + shift >> i + 1u);
        rank += (slot >> i & 1u) * lower;
    }
    return rank;
}
