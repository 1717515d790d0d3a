import assert from 'node:assert/strict'
import test from 'node:test'
import { ProblemLog } from '../../src/daemon/problem-log.ts'
import { compareClocks, StoreClock } from '../../src/uploader/store-clock.ts'
import { HeldClock, settled } from '../support/held-clock.ts'
import { LogLines } from './workbench.ts'

const date = 'Sat, 25 Jan 2025 12:00:00 GMT'
const nowMs = Date.parse(date)

test("the store's time goes on from its last answer, whatever this machine's clock says", async () => {
  const clock = new HeldClock(20_000)
  const store = new StoreClock(clock)
  assert.deepEqual([store.now(), store.offsetMs], [undefined, 0])
  store.told({ date })
  await clock.advance(5000)
  assert.equal(store.now(), nowMs + 5000)
  assert.equal(store.offsetMs, nowMs - 20_000)
  store.told({ date, age: '60' })
  assert.equal(store.now(), nowMs + 5000)
})

test('a store that tells no time is taken to agree with this machine', () => {
  const store = new StoreClock(new HeldClock(nowMs))
  store.told({})
  assert.equal(store.now(), nowMs)
})

for (const [side, offMs] of [
  ['behind', -3_600_000],
  ['ahead of', 3_600_000],
] as const)
  test(`a clock ${side} the store's is said once, and when it is right again`, async () => {
    const clock = new HeldClock(nowMs)
    const log = new LogLines()
    const problems = new ProblemLog(log, clock)
    let behindMs = -offMs
    const store = { now: () => clock.now() + behindMs }
    const stop = new AbortController()
    const compared = compareClocks({ store, problems, log, clock }, stop.signal)
    await clock.advance(5000)
    assert.equal(log.count(new RegExp(`^WARNING this machine's clock is wrong .*${side} that`)), 1)
    assert.equal(problems.open.length, 1)
    behindMs = 60_000
    await clock.advance(5000)
    assert.equal(log.count(/^INFO this machine's clock is right again/), 1)
    assert.deepEqual(problems.open, [])
    stop.abort()
    await settled()
    await compared
  })
