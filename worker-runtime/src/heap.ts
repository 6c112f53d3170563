// Keeps the worker's memory down wherever it runs; main.ts imports this first. A worker makes much garbage that lives for milliseconds.
// V8 doubles the young generation for it, up to a hundred megabytes of pages that stay; here it stays as large as it starts.
// A setting of this process alone: neither zygote nor children have it.
import { setFlagsFromString } from 'node:v8'

setFlagsFromString('--semi-space-growth-factor=1')
