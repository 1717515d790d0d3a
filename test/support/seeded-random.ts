import { randomInt } from 'node:crypto'
import type { TestContext } from 'node:test'

/** The seed of a test: FUZZ_SEED, or a new one; said, so that a failure can be had again. */
export function seedOf(t: TestContext): number {
  const seed = Number(process.env.FUZZ_SEED ?? randomInt(2 ** 31))
  t.diagnostic(`FUZZ_SEED=${seed}`)
  return seed
}

/** Choices that are the same each time for the same seed (mulberry32). */
export class SeededRandom {
  #state: number

  constructor(seed: number) {
    this.#state = seed
  }

  /** From 0 to less than 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  /** A whole number from 0 to less than `limit`. */
  below(limit: number): number {
    return Math.floor(this.next() * limit)
  }

  chance(probability: number): boolean {
    return this.next() < probability
  }

  pick<T>(list: readonly T[]): T {
    const chosen = list[this.below(list.length)]
    if (chosen === undefined) throw new Error('nothing to choose from')
    return chosen
  }

  /** Text of at most `most` letters, mostly of those that mean something to somebody. */
  text(most: number): string {
    const letters = Array.from({ length: this.below(most + 1) }, () => {
      if (this.chance(0.5)) return this.pick(plain)
      return this.chance(0.8) ? this.pick(special) : String.fromCodePoint(this.#codePoint())
    })
    return letters.join('')
  }

  /** Any but a surrogate, which no file holds. */
  #codePoint(): number {
    const point = this.chance(0.5) ? this.below(0x400) : this.below(0x110000)
    return point >= 0xd800 && point < 0xe000 ? 0xfffd : point
  }
}

const plain = 'abcXYZ_019'.split('')
const special = [
  ...'.-/\\@:#%$=&?\'"`~!*+;,<>(){}[]|^ \t\r\n\0'.split(''),
  'é',
  'ß',
  'ﷺ',
  'ﬃ',
  '㎯',
  '́',
  '😀',
]
