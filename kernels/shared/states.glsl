// The lengths of a segment's initial states (docs/FORMAT.md, section 2.3): bit l of word b is bit b of what lane l's is more than
// LEAST. The includer defines LEAST, PLANES, how many such words there are, and WORD_BITS.

// What the bit string begins with: the gap's size, in words, and how large it may be, less than there are lanes.
#define GAP_BITS 8u
#define MOST_GAP 31u

// The length of a lane's state.
uint state_length(uint planes[PLANES], uint lane) {
    uint length = LEAST;
    [[unroll]] for (uint b = 0u; b < PLANES; b++) length += (planes[b] >> lane & 1u) << b;
    return length;
}

// The sum of the lengths of the lanes of a mask.
uint lengths_of(uint planes[PLANES], uint mask) {
    uint sum = LEAST * bitCount(mask);
    [[unroll]] for (uint b = 0u; b < PLANES; b++) sum += bitCount(planes[b] & mask) << b;
    return sum;
}

// Where a lane's state begins in the bit string, with a cell of so many bits in each lane; of lane 32, where they all end.
uint state_place(uint planes[PLANES], uint lane, uint cell_bits) {
    uint before = lane < 32u ? (1u << lane) - 1u : ~0u;
    return GAP_BITS + lengths_of(planes, before) + lane * cell_bits;
}
