import assert from 'node:assert/strict'
import test from 'node:test'
import { StoreError } from '../../src/uploader/object-store.ts'
import { ProblemLog } from '../../src/daemon/problem-log.ts'
import { ToolError } from '../../src/uploader/run-tool.ts'
import type { ShipEnd } from '../../src/uploader/ship-segment.ts'
import { StoreHealth } from '../../src/uploader/store-health.ts'
import { UploadQueue } from '../../src/uploader/upload-queue.ts'
import { HeldClock, settled } from '../support/held-clock.ts'
import { LogLines } from './workbench.ts'

const done: ShipEnd = { why: 'discarded' }
const problem = (storeWide: boolean): StoreError =>
  new StoreError({ kind: 'denied', hint: 'Allow it.', storeWide }, 'AccessDenied', 'write')

/** A queue whose uploads do what the test says, under a clock that the test moves. */
function hold(concurrency: number, ship: (path: string, signal: AbortSignal) => Promise<ShipEnd>) {
  const clock = new HeldClock()
  const log = new LogLines()
  const stop = new AbortController()
  const health = new StoreHealth({ log, clock }, () => queue.waiting.length)
  const ended: string[] = []
  const queue: UploadQueue = new UploadQueue({
    ...{ health, log, clock, concurrency, problems: new ProblemLog(log, clock) },
    ship: async (path, _, signal) => ship(path, signal),
    onEnd: (path) => ended.push(path),
  })
  const offer = (...starts: number[]): void => {
    for (const startMs of starts) queue.offer({ path: `/r/${startMs}`, bytes: 1, startMs })
  }
  return { clock, log, stop, health, queue, ended, offer, run: async () => queue.run(stop.signal) }
}

test('two slots: one takes the oldest, one the newest', async () => {
  const taken: string[] = []
  const finish: (() => void)[] = []
  const { queue, offer, run, stop } = hold(2, async (path) => {
    taken.push(path)
    await new Promise<void>((resolve) => finish.push(resolve))
    return done
  })
  offer(3, 1, 5, 2, 4)
  const running = run()
  await settled()
  assert.deepEqual(taken, ['/r/5', '/r/1'])
  finish[1]?.()
  await settled()
  finish[2]?.()
  await settled()
  assert.deepEqual(taken, ['/r/5', '/r/1', '/r/2', '/r/3'])
  assert.equal(queue.inFlight.length, 2)
  stop.abort()
  for (const end of finish) end()
  await running
})

test('a single slot alternates between the oldest and the newest', async () => {
  const { queue, offer, run, stop, ended } = hold(1, async () => done)
  offer(3, 1, 5, 2, 4)
  const running = run()
  await settled()
  assert.deepEqual(ended, ['/r/1', '/r/5', '/r/2', '/r/4', '/r/3'])
  assert.equal(queue.waiting.length, 0)
  stop.abort()
  await running
})

test('what waits for its sound takes no turn of the others, until it is ready, however soon', async () => {
  const tried: string[] = []
  const { clock, queue, offer, run, stop, ended } = hold(1, async (path) => {
    tried.push(path)
    const isFirst = tried.filter((one) => one === path).length === 1
    // The second is ready before it is known to wait.
    if (path === '/r/2' && isFirst) queue.retry(path)
    return isFirst && path !== '/r/3' ? { why: 'waiting' } : done
  })
  offer(1, 2, 3)
  const running = run()
  await settled()
  assert.deepEqual(ended, ['/r/3', '/r/2'])
  await clock.advance(120_000)
  assert.equal(tried.filter((path) => path === '/r/1').length, 1)
  queue.retry('/r/1')
  await settled()
  assert.deepEqual(ended, ['/r/3', '/r/2', '/r/1'])
  stop.abort()
  await running
})

test('a failing store is said once, tried by one file at a time, and its return is said once', async () => {
  let works = false
  let tries = 0
  const { clock, log, health, queue, offer, run, stop, ended } = hold(4, async () => {
    tries += 1
    if (!works) throw problem(true)
    health.succeeded('write')
    return done
  })
  offer(...Array.from({ length: 50 }, (_, n) => n))
  const running = run()
  await settled()
  assert.equal(tries, 4)
  assert.equal(health.status.state, 'failing')
  for (let second = 0; second < 100; second += 1) await clock.advance(1000)
  assert.ok(tries > 10 && tries < 105, `${tries} tries in 100 s`)
  assert.equal(log.count(/^WARNING uploads wait: Allow it/), 1)
  for (let minute = 0; minute < 11; minute += 1) await clock.advance(60_000)
  assert.equal(log.count(/^WARNING still: uploads wait.*"waiting":50.*"tries":\d+/), 1)
  works = true
  await clock.advance(15_000)
  assert.equal(ended.length, 50)
  assert.equal(log.count(/^INFO the store works again/), 1)
  assert.equal(queue.failed.length, 0)
  stop.abort()
  await running
})

test('files on which the store fails every time do not hold up the others', async () => {
  const poisoned = new Set(['/r/1', '/r/9'])
  const { clock, health, queue, offer, run, stop, ended } = hold(2, async (path) => {
    if (poisoned.has(path)) throw problem(true)
    return { why: 'shipped', path, key: path, bytes: 1 }
  })
  offer(1, 2, 3, 4, 5, 6, 7, 8, 9)
  const running = run()
  await settled()
  for (let seconds = 0; seconds < 60; seconds += 1) await clock.advance(1000)
  assert.deepEqual(ended.sort(), ['/r/2', '/r/3', '/r/4', '/r/5', '/r/6', '/r/7', '/r/8'])
  assert.equal(health.isFailing, false)
  assert.deepEqual(queue.failed.map(({ file }) => file).sort(), ['1', '9'])
  stop.abort()
  await running
})

test('a file that fails by itself waits alone, and says so once for each reason', async () => {
  let reason = 'first reason'
  const { clock, log, queue, offer, run, stop, ended } = hold(2, async (path) => {
    if (path !== '/r/1') return done
    throw new Error(`${reason} of ${path}`)
  })
  offer(1, 2, 3)
  const running = run()
  await settled()
  assert.deepEqual(ended, ['/r/3', '/r/2'])
  for (let second = 0; second < 120; second += 1) await clock.advance(1000)
  assert.equal(log.count(/^WARNING/), 1)
  const [failed] = queue.failed
  assert.deepEqual([failed?.file, failed?.problem], ['1', 'first reason of the file'])
  assert.ok(Date.parse(failed?.nextTryAt ?? '') > clock.now())
  reason = 'second reason'
  for (let second = 0; second < 60; second += 1) await clock.advance(1000)
  assert.equal(log.count(/^WARNING/), 2)
  stop.abort()
  await running
})

test('what every file would meet is waited out together', async () => {
  let tries = 0
  const { clock, log, offer, run, stop } = hold(2, async () => {
    tries += 1
    throw new ToolError('ffprobe cannot be run', { machineWide: true })
  })
  offer(...Array.from({ length: 200 }, (_, n) => n))
  const running = run()
  for (let second = 0; second < 100; second += 1) await clock.advance(1000)
  assert.ok(tries < 110, `${tries} tries in 100 s`)
  assert.equal(log.count(/^WARNING/), 1)
  stop.abort()
  await running
})

test('what many files share is not said many times', async () => {
  const { clock, log, offer, run, stop } = hold(2, async () => {
    throw new Error('permission denied')
  })
  offer(...Array.from({ length: 200 }, (_, n) => n))
  const running = run()
  for (let second = 0; second < 100; second += 1) await clock.advance(1000)
  assert.ok(log.count(/^WARNING/) <= 11)
  stop.abort()
  await running
})

test('at the stop nothing new is taken, and what is in flight gets 7 s', async () => {
  const taken: string[] = []
  const aborted: string[] = []
  const { clock, offer, run, stop, queue } = hold(2, async (path, signal) => {
    taken.push(path)
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
    aborted.push(path)
    throw new Error('aborted')
  })
  offer(1, 2, 3)
  const running = run()
  await settled()
  stop.abort()
  await settled()
  await clock.advance(6999)
  assert.deepEqual([taken.length, aborted.length], [2, 0])
  await clock.advance(1)
  assert.deepEqual([taken.length, aborted.length], [2, 2])
  await running
  assert.equal(queue.failed.length, 0)
})

test('an upload that does not even end when aborted does not hold the stop up', async () => {
  const { clock, offer, run, stop } = hold(1, async () => new Promise(() => {}))
  offer(1)
  const running = run()
  await settled()
  stop.abort()
  await settled()
  await clock.advance(7000)
  await clock.advance(1000)
  await running
})

test('what waits and is deleted by somebody is forgotten', async () => {
  const { queue, offer } = hold(1, async () => done)
  offer(1, 2)
  queue.retain((path) => path === '/r/2')
  assert.deepEqual(
    queue.waiting.map(({ path }) => path),
    ['/r/2'],
  )
})
