import assert from 'node:assert/strict'
import test from 'node:test'
import { restartDelayMs } from '../../src/recorder/restart-delay.ts'

test('a camera is tried again after 1.5, 3, 6 and then every 10 seconds', () => {
  const delays = [1, 2, 3, 4, 5, 100].map((failures) => restartDelayMs(failures, false, 0))
  assert.deepEqual(delays, [1500, 3000, 6000, 10_000, 10_000, 10_000])
})

test('jitter adds up to a quarter, and never takes anything off', () => {
  assert.equal(restartDelayMs(1, false, 1), 1875)
  assert.equal(restartDelayMs(4, false, 0.5), 11_250)
})

test('a rejected password is tried once a minute, for cameras lock accounts', () => {
  assert.equal(restartDelayMs(1, true, 0), 60_000)
  assert.equal(restartDelayMs(9, true, 0), 60_000)
})
