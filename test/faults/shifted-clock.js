// Preloaded into a process whose wall clock shall be wrong.
const shiftMs = Number(process.env.MILLHAND_TEST_SHIFT_MS ?? 0)
const now = Date.now
Date.now = () => now() + shiftMs
