import assert from 'node:assert/strict'
import test from 'node:test'
import { restartDelayMs } from '../../src/recorder/restart-delay.ts'

test('a camera is tried again after 1.5, 3, 6 and then every 10 seconds', () => {
  const delays = [1, 2, 3, 4, 5, 100].map((failures) => restartDelayMs(failures, undefined, 0))
  assert.deepEqual(delays, [1500, 3000, 6000, 10_000, 10_000, 10_000])
})

test('jitter adds up to a quarter, and never takes anything off', () => {
  assert.equal(restartDelayMs(1, undefined, 1), 1875)
  assert.equal(restartDelayMs(4, undefined, 0.5), 11_250)
})

test('while the disk is at fault, the wait is short enough to be back within 15 seconds', () => {
  const delays = [1, 3, 4, 100].map((failures) => restartDelayMs(failures, 'disk full', 1))
  assert.deepEqual(delays, [1875, 7500, 7500, 7500])
  assert.equal(restartDelayMs(100, 'folder', 0), 6000)
})

test('a rejected password is tried once a minute, for cameras lock accounts', () => {
  assert.equal(restartDelayMs(1, 'rejected', 0), 60_000)
  assert.equal(restartDelayMs(9, 'rejected', 0), 60_000)
})
