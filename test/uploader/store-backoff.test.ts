import assert from 'node:assert/strict'
import test from 'node:test'
import { backoffMs, SharedBackoff, type Pass } from '../../src/uploader/store-backoff.ts'
import { HeldClock, settled } from '../support/held-clock.ts'
import { never } from './workbench.ts'

const worst = (): number => 1

test('the wait doubles up to 15 s, with full jitter', () => {
  assert.deepEqual(
    [0, 1, 2, 3, 4, 50].map((failures) => backoffMs(failures, 15_000, worst)),
    [1000, 2000, 4000, 8000, 15_000, 15_000],
  )
  assert.ok(backoffMs(9, 15_000, () => 0) < 200)
})

test('while all is well, all pass', async () => {
  const backoff = new SharedBackoff<string>(new HeldClock())
  const passes = await Promise.all([backoff.enter(never), backoff.enter(never)])
  assert.deepEqual(
    passes.map((pass) => pass?.trial),
    [false, false],
  )
})

test('after a failure everything waits, and a single trial goes first', async () => {
  const clock = new HeldClock()
  const backoff = new SharedBackoff<string>(clock, worst)
  backoff.failed('down', { trial: false, sinceMs: clock.monotonicMs() })
  const entered: boolean[] = []
  for (let n = 0; n < 3; n += 1)
    void backoff.enter(never).then((pass) => pass && entered.push(pass.trial))
  await clock.advance(999)
  assert.deepEqual(entered, [])
  await clock.advance(1)
  assert.deepEqual(entered, [true])
  await clock.advance(60_000)
  assert.equal(entered.length, 1)
})

test('the first success wakes all at once', async () => {
  const clock = new HeldClock()
  const backoff = new SharedBackoff<string>(clock, worst)
  backoff.failed('down', { trial: false, sinceMs: clock.monotonicMs() })
  let entered = 0
  for (let n = 0; n < 5; n += 1) void backoff.enter(never).then(() => (entered += 1))
  await clock.advance(1000)
  assert.equal(entered, 1)
  assert.equal(backoff.succeeded(), true)
  await settled()
  assert.equal(entered, 5)
  assert.equal(backoff.outage, undefined)
})

test('a trial that fails lengthens the wait; what was under way before does not', async () => {
  const clock = new HeldClock()
  const backoff = new SharedBackoff<string>(clock, worst)
  backoff.failed('down', { trial: false, sinceMs: clock.monotonicMs() })
  backoff.failed('down', { trial: false, sinceMs: clock.monotonicMs() })
  assert.equal(backoff.outage?.tries, 1)
  const trial = backoff.enter(never)
  await clock.advance(1000)
  const pass = (await trial) ?? assert.fail()
  backoff.failed('still down', pass)
  backoff.leave(pass)
  assert.equal(backoff.outage.tries, 2)
  assert.equal(backoff.outage.nextTryAtMs - clock.monotonicMs(), 2000)
})

test('a trial that took long to fail has waited already', async () => {
  const clock = new HeldClock()
  const backoff = new SharedBackoff<string>(clock, worst)
  backoff.failed('down', { trial: false, sinceMs: clock.monotonicMs() })
  const trial = backoff.enter(never)
  await clock.advance(1000)
  const pass = (await trial) ?? assert.fail()
  await clock.advance(15_000)
  backoff.failed('still down', pass)
  backoff.leave(pass)
  const { nextTryAtMs } = backoff.outage ?? assert.fail()
  assert.equal(nextTryAtMs - clock.monotonicMs(), 100)
})

test('a trial that goes well so far lets all pass; if it fails in the end, the outage goes on', async () => {
  const clock = new HeldClock()
  const backoff = new SharedBackoff<string>(clock, worst)
  backoff.failed('down', { trial: false, sinceMs: clock.monotonicMs() })
  const trial = backoff.enter(never)
  const other = backoff.enter(never)
  await clock.advance(1000)
  const pass = (await trial) ?? assert.fail()
  backoff.ease()
  assert.equal((await other)?.trial, false)
  assert.equal(backoff.failed('down in the end', pass), true)
  assert.equal(backoff.outage?.tries, 2)
})

test('what was under way before an outage was over is no news of another', async () => {
  const clock = new HeldClock()
  const backoff = new SharedBackoff<string>(clock, worst)
  const [first, second] = [await backoff.enter(never), await backoff.enter(never)] as [Pass, Pass]
  assert.equal(backoff.failed('down', first), true)
  await clock.advance(1000)
  backoff.succeeded()
  assert.equal(backoff.failed('was down', second), false)
  assert.equal(backoff.outage, undefined)
  const third = (await backoff.enter(never)) ?? assert.fail()
  assert.equal(backoff.failed('down again', third), true)
})

test('a trial that comes to nothing leaves the turn to the next', async () => {
  const clock = new HeldClock()
  const backoff = new SharedBackoff<string>(clock, worst)
  backoff.failed('down', { trial: false, sinceMs: clock.monotonicMs() })
  const first = backoff.enter(never)
  const second = backoff.enter(never)
  await clock.advance(1000)
  backoff.leave((await first) ?? assert.fail())
  assert.equal((await second)?.trial, true)
})

test('an abort ends the wait', async () => {
  const backoff = new SharedBackoff<string>(new HeldClock(), worst)
  backoff.failed('down', { trial: false, sinceMs: 0 })
  const stop = new AbortController()
  const entered = backoff.enter(stop.signal)
  stop.abort()
  assert.equal(await entered, undefined)
})
