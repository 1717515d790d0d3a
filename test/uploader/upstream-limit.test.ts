import assert from 'node:assert/strict'
import test from 'node:test'
import { UpstreamLimit } from '../../src/uploader/upstream-limit.ts'
import { HeldClock, settled } from '../support/held-clock.ts'
import { never } from './workbench.ts'

const bytesPerSecond = 1_000_000 // 8 Mbit/s

test('what is sent together never exceeds the limit, and uses all of it', async () => {
  const clock = new HeldClock()
  const limit = new UpstreamLimit(8, clock)
  let sent = 0
  const upload = async (): Promise<void> => {
    for (;;) {
      await limit.take(10_000, never)
      sent += 10_000
      if (sent > 20 * bytesPerSecond) return
    }
  }
  const uploads = Promise.all([upload(), upload()])
  for (let ms = 0; ms < 10_000; ms += 10) await clock.advance(10)
  assert.ok(Math.abs(sent / (10 * bytesPerSecond) - 1) < 0.05, String(sent))
  for (let ms = 0; ms < 12_000; ms += 10) await clock.advance(10)
  await uploads
})

test('a pause is not made up for by a flood', async () => {
  const clock = new HeldClock()
  const limit = new UpstreamLimit(8, clock)
  await limit.take(10_000, never)
  await clock.advance(60_000)
  let sent = 0
  void (async () => {
    for (;;) {
      await limit.take(10_000, never)
      sent += 10_000
      if (sent >= bytesPerSecond) return
    }
  })()
  await settled()
  assert.ok(sent <= 0.25 * bytesPerSecond, String(sent))
  await clock.advance(60_000)
})

test('an abort ends the wait', async () => {
  const clock = new HeldClock()
  const limit = new UpstreamLimit(8, clock)
  const stop = new AbortController()
  await limit.take(10 * bytesPerSecond, stop.signal)
  const waiting = limit.take(1, stop.signal)
  stop.abort()
  await waiting
})
