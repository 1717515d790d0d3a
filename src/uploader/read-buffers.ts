/** Enough for few reads of a file; small enough to stay near the processor. */
export const readBufferBytes = 1024 * 1024
const mostSpare = 8
const spare: Buffer[] = []

/**
 * A buffer to read a file into, which another had before: new ones keep the garbage collector
 * busier than the reading the processor, for it counts their bytes as if they were objects.
 */
export function takeReadBuffer(): Buffer {
  return spare.pop() ?? Buffer.allocUnsafe(readBufferBytes)
}

/** Gives one back that nobody reads from, or writes to, any more. */
export function giveReadBuffer(buffer: Buffer): void {
  if (spare.length < mostSpare) spare.push(buffer)
}
