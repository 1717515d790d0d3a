import { need } from './boxes.ts'

/** More than any number has that a parameter set counts something with. */
const mostZeros = 31

/** Reads the fields of a NAL unit bit by bit; throws UnfamiliarMp4 beyond its end. */
export class BitReader {
  readonly #bytes: Buffer
  #at = 0

  /** `payload` is the unit without its header. */
  constructor(payload: Buffer) {
    this.#bytes = withoutEscapes(payload)
  }

  /** Reads an unsigned number of `count` bits, 32 at most. */
  bits(count: number): number {
    let number = 0
    for (let n = 0; n < count; n += 1) number = number * 2 + this.#bit()
    return number
  }

  flag(): boolean {
    return this.#bit() === 1
  }

  skip(count: number): void {
    this.#at += count
    need(this.#at <= this.#bytes.length * 8)
  }

  /** An unsigned Exp-Golomb code (ITU-T H.264, 9.1). */
  ue(): number {
    let zeros = 0
    while (!this.flag()) {
      zeros += 1
      need(zeros <= mostZeros)
    }
    return 2 ** zeros - 1 + this.bits(zeros)
  }

  /** A signed Exp-Golomb code. */
  se(): number {
    const code = this.ue()
    return code % 2 === 1 ? (code + 1) / 2 : -code / 2
  }

  #bit(): number {
    const byte = this.#bytes[this.#at >> 3]
    need(byte !== undefined)
    const bit = (byte >> (7 - (this.#at & 7))) & 1
    this.#at += 1
    return bit
  }
}

/** Drops each 3 behind two zeros, which only keeps a unit from looking like a start code. */
export function withoutEscapes(payload: Buffer): Buffer {
  const bytes = Buffer.alloc(payload.length)
  let [length, zeros] = [0, 0]
  for (const byte of payload) {
    if (zeros >= 2 && byte === 3) {
      zeros = 0
      continue
    }
    zeros = byte === 0 ? zeros + 1 : 0
    bytes[length] = byte
    length += 1
  }
  return bytes.subarray(0, length)
}
