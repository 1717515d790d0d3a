import assert from 'node:assert/strict'
import test from 'node:test'
import { stallVerdict, type RunFacts, type Stall } from '../../src/recorder/stall-verdict.ts'

const healthy: RunFacts = {
  runningMs: 60_000,
  alive: true,
  fileDeleted: false,
  noOpenFileMs: 0,
  unwrittenMs: 900,
  noVideoMs: 900,
  aheadMs: 0,
  frozenTimeMs: 0,
}

const cases: [string, Partial<RunFacts>, Stall | undefined][] = [
  ['a camera whose video and file grow is healthy', {}, undefined],
  [
    'a process that is gone is noticed even while it starts',
    { alive: false, runningMs: 10 },
    'process gone',
  ],
  ['silence is forgiven while it starts', { runningMs: 19_999, noVideoMs: 19_999 }, undefined],
  [
    'silence since the start is not forgiven for ever',
    { runningMs: 20_000, noVideoMs: 20_000 },
    'no new video',
  ],
  ['video that stops while audio goes on is noticed', { noVideoMs: 15_000 }, 'no new video'],
  [
    'a pause shorter than STALL_SECONDS is none',
    { noVideoMs: 14_999, unwrittenMs: 14_999 },
    undefined,
  ],
  ['a file that no longer grows is noticed', { unwrittenMs: 15_000 }, 'file not growing'],
  ['a file that is no longer open is noticed', { noOpenFileMs: 15_000 }, 'no file open'],
  ['a sweep between two segments sees no file and is no reason', { noOpenFileMs: 5000 }, undefined],
  [
    'where open files cannot be seen, the rest still counts',
    { noOpenFileMs: undefined, noVideoMs: 20_000 },
    'no new video',
  ],
  [
    'a file that is deleted while it is written is noticed at once, even at the start',
    { fileDeleted: true, runningMs: 3000 },
    'file deleted',
  ],
  ['time stamps that jump ahead are noticed', { aheadMs: 3_600_000 }, 'time stamps jumped'],
  ['a burst after a pause is no jump', { aheadMs: 29_000 }, undefined],
  ['time stamps that stand still are noticed', { frozenTimeMs: 15_000 }, 'time stamps frozen'],
]

for (const [title, facts, expected] of cases)
  test(title, () => assert.equal(stallVerdict({ ...healthy, ...facts }, 15_000), expected))

test('the start-up grace is never shorter than STALL_SECONDS', () => {
  const facts = { ...healthy, runningMs: 59_999, noVideoMs: 59_999 }
  assert.equal(stallVerdict(facts, 60_000), undefined)
  assert.equal(
    stallVerdict({ ...facts, runningMs: 60_000, noVideoMs: 60_000 }, 60_000),
    'no new video',
  )
})
