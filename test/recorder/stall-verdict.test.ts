import assert from 'node:assert/strict'
import test from 'node:test'
import { stallVerdict, type RunFacts, type Stall } from '../../src/recorder/stall-verdict.ts'

const healthy: RunFacts = {
  alive: true,
  fileDeleted: false,
  hasBegun: true,
  noOpenFileMs: 0,
  unwrittenMs: 900,
  noVideoMs: 900,
  isConnected: true,
}

const cases: [string, Partial<RunFacts>, Stall | undefined][] = [
  [
    'a connection that does not come about is not waited for as long',
    { hasBegun: false, isConnected: false, noVideoMs: 40_000 },
    'no video since the start',
  ],
  ['a camera whose video and file grow is healthy', {}, undefined],
  [
    'a process that is gone is noticed even while it starts',
    { alive: false, hasBegun: false },
    'process gone',
  ],
  ['the first keyframe may be late', { hasBegun: false, noVideoMs: 89_999 }, undefined],
  [
    'video that never comes is not waited for for ever',
    { hasBegun: false, noVideoMs: 90_000 },
    'no video since the start',
  ],
  ['video that stops while audio goes on is noticed', { noVideoMs: 16_000 }, 'no new video'],
  ['a camera may be silent for a while', { noVideoMs: 14_999, unwrittenMs: 14_999 }, undefined],
  [
    'the file of a camera that falls silent may have grown for the last time before its last frame came',
    { noVideoMs: 14_800, unwrittenMs: 15_300 },
    undefined,
  ],
  ['a file that no longer grows is noticed', { unwrittenMs: 15_000 }, 'file not growing'],
  ['a file that is no longer open is noticed', { noOpenFileMs: 15_000 }, 'no file open'],
  ['a look between two segments sees no file and is no reason', { noOpenFileMs: 5000 }, undefined],
  [
    'where open files cannot be seen, the rest still counts',
    { noOpenFileMs: undefined, noVideoMs: 20_000 },
    'no new video',
  ],
  [
    'a file that is deleted while it is written is noticed at once, even at the start',
    { fileDeleted: true },
    'file deleted',
  ],
]

for (const [title, facts, expected] of cases)
  test(title, () => assert.equal(stallVerdict({ ...healthy, ...facts }, 15_000), expected))

for (const [isConnected, mostMs] of [
  [false, 40_000],
  [true, 90_000],
] as const)
  for (const stallAfterMs of [15_000, 120_000])
    test(`the first video of a camera that is ${isConnected ? '' : 'not '}connected may be late by STALL_SECONDS (${stallAfterMs / 1000}), if that is longer`, () => {
      const lateMs = Math.max(mostMs, stallAfterMs)
      const facts = { ...healthy, isConnected, hasBegun: false, noVideoMs: lateMs - 1 }
      assert.equal(stallVerdict(facts, stallAfterMs), undefined)
      const late = { ...facts, noVideoMs: lateMs }
      assert.equal(stallVerdict(late, stallAfterMs), 'no video since the start')
    })

test('one look between two segments is no reason even where STALL_SECONDS is short', () => {
  assert.equal(stallVerdict({ ...healthy, noOpenFileMs: 5100, unwrittenMs: 5100 }, 2000), undefined)
  assert.equal(stallVerdict({ ...healthy, noOpenFileMs: 10_100 }, 2000), 'no file open')
})
