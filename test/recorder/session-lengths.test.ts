import assert from 'node:assert/strict'
import test from 'node:test'
import { SessionLengths } from '../../src/recorder/session-lengths.ts'

function answers(...seconds: number[]): (number | undefined)[] {
  const lengths = new SessionLengths()
  return seconds.map((length) => lengths.add(length * 1000))
}

test('three sessions in a row that last alike are a habit, as long as they go on', () => {
  assert.deepEqual(answers(60, 61, 59.5, 60, 12, 60, 61, 60), [
    ...[undefined, undefined, 61_000, 61_000, undefined, undefined, undefined, 61_000],
  ])
})

test('long ones may differ by more, and brief ones are none', () => {
  assert.deepEqual(answers(3600, 3500, 3550).at(-1), 3_600_000)
  assert.deepEqual(answers(64, 60, 62).at(-1), undefined)
  assert.deepEqual(answers(2, 2, 2).at(-1), undefined)
})
