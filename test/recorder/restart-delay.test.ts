import assert from 'node:assert/strict'
import test from 'node:test'
import { restartDelayMs } from '../../src/recorder/restart-delay.ts'

const failed = { failures: 1, kind: undefined, tookMs: 0 }

test('a camera is tried again after 1, 3, 6 and then every 10 seconds', () => {
  const delays = [1, 2, 3, 4, 5, 100].map((failures) => restartDelayMs({ ...failed, failures }, 0))
  assert.deepEqual(delays, [1000, 3000, 6000, 10_000, 10_000, 10_000])
})

test('a try that took long counts as waiting, and a pause remains', () => {
  assert.equal(restartDelayMs({ ...failed, failures: 9, tookMs: 7500 }, 0), 2500)
  assert.equal(restartDelayMs({ ...failed, failures: 9, tookMs: 60_000 }, 0), 1000)
})

test('jitter adds up to a quarter, and never takes anything off', () => {
  assert.equal(restartDelayMs(failed, 1), 1250)
  assert.equal(restartDelayMs({ ...failed, failures: 4 }, 0.5), 11_250)
})

test('while the disk is at fault, the wait is short enough to be back within 15 seconds', () => {
  const delays = [1, 3, 4, 100].map((failures) =>
    restartDelayMs({ ...failed, failures, kind: 'disk full' }, 1),
  )
  assert.deepEqual(delays, [1250, 7500, 7500, 7500])
  assert.equal(restartDelayMs({ ...failed, failures: 100, kind: 'folder' }, 0), 6000)
})

test('a rejected password is tried once a minute, for cameras lock accounts', () => {
  assert.equal(restartDelayMs({ ...failed, kind: 'rejected' }, 0), 60_000)
  assert.equal(restartDelayMs({ failures: 9, kind: 'rejected', tookMs: 500 }, 0), 59_500)
})
