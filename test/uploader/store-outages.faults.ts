import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, test, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  alter,
  hang,
  hangAfterwards,
  loseAnswer,
  refuse,
  reset,
  trickle,
  type Exchange,
  type Fault,
} from '../support/fault-proxy.ts'
import type { RunningDaemon } from '../support/running-daemon.ts'
import { FaultyStore } from './faulty-store.ts'

/** Long enough for the backoff to reach its cap, and for the SDK's own retries to run dry. */
const outageMs = 75_000
const promisedMs = 35_000
const stopMs = 8000

/** How a store is away, and what the log has to say of it. */
const outages: [name: string, fault: Fault | 'closed', says: RegExp][] = [
  ['refuses connections', 'closed', /cannot be reached: look at the network/],
  ['hangs', hang, /does not answer in time: look at the network/],
  ['resets connections', reset, /cannot be reached: look at the network/],
  ['trickles its answers', trickle('answer'), /does not answer in time: look at the network/],
  ['reads a byte a second', trickle('request'), /does not answer in time: look at the network/],
  ['answers 500', refuse(500, 'InternalError'), /overloaded or has a fault of its own/],
  ['answers 503', refuse(503, 'SlowDown'), /overloaded or has a fault of its own/],
  ['answers 429', refuse(429, 'TooManyRequests'), /overloaded or has a fault of its own/],
  ['denies everything', refuse(403, 'AccessDenied'), /allow s3:GetObject/],
  ['has lost its bucket', refuse(404, 'NoSuchBucket'), /look at S3_BUCKET_NAME/],
  ['calls the credentials expired', refuse(400, 'ExpiredToken'), /renew AWS_SESSION_TOKEN/],
  ['finds the clock wrong', refuse(403, 'RequestTimeTooSkewed'), /clock is wrong: set it/],
]

const [small, inParts] = [300_000, 70 << 20]

/** What fails in both slots while all else works. */
const stages: [name: string, operation: string, fault: Fault, bytes: number][] = [
  ['PutObject that hangs', 'PutObject', hang, small],
  ['PutObject that is read a byte a second', 'PutObject', trickle('request'), 20 << 20],
  ['PutObject that is answered 503', 'PutObject', refuse(503, 'SlowDown'), small],
  ['CreateMultipartUpload that hangs', 'CreateMultipartUpload', hang, inParts],
  ['UploadPart that hangs', 'UploadPart', hang, inParts],
  ['CompleteMultipartUpload that hangs', 'CompleteMultipartUpload', hang, inParts],
  [
    'CompleteMultipartUpload that is answered 500',
    'CompleteMultipartUpload',
    refuse(500, 'InternalError'),
    inParts,
  ],
]

/** What the store does, though its answer never comes. */
const unanswered: [name: string, operation: string, fault: Fault, bytes: number][] = [
  ['PutObject', 'PutObject', hangAfterwards, small],
  ['CompleteMultipartUpload', 'CompleteMultipartUpload', hangAfterwards, inParts],
  ['CompleteMultipartUpload that trickles', 'CompleteMultipartUpload', trickle('body'), inParts],
]

/** Ends an outage when it is worst: the next request has just begun to hang, or has just failed. */
async function comeBack(store: FaultyStore, matches: (one: Exchange) => boolean): Promise<void> {
  const { proxy } = store
  const isClosed = !proxy.isListening
  if (!isClosed) {
    const { response } = await proxy.next(matches)
    await Promise.race([once(response, 'close'), sleep(500)])
    let asked = 0
    // The SDK asks three times.
    while (response.closed && asked < proxy.exchanges.length) {
      asked = proxy.exchanges.length
      await sleep(1500)
    }
  }
  proxy.plan = () => undefined
  await proxy.listen()
}

function seconds(sinceMs: number): string {
  return `${((performance.now() - sinceMs) / 1000).toFixed(1)} s`
}

async function assertStops(t: TestContext, daemon: RunningDaemon, what: string): Promise<void> {
  const askedMs = performance.now()
  assert.equal(await daemon.stop(), 0)
  t.diagnostic(`${what}: stopped within ${seconds(askedMs)}`)
  assert.ok(performance.now() - askedMs < stopMs)
}

async function assertDrains(
  t: TestContext,
  store: FaultyStore,
  daemon: RunningDaemon,
  names: string[],
): Promise<void> {
  const backMs = performance.now()
  const from = daemon.lines.length
  await daemon.line(/moved to uploaded/, { from, withinMs: 2 * promisedMs })
  const tookMs = performance.now() - backMs
  t.diagnostic(`first file in S3 ${seconds(backMs)} after its return`)
  await store.shipped(daemon, names.length)
  await store.assertAllOnce(names)
  assert.ok(tookMs < promisedMs, `the first file took ${tookMs} ms`)
}

describe('outages', { concurrency: 8 }, () => {
  for (const [name, fault, says] of outages)
    test(`a store that ${name} is said once, and the backlog drains by itself at its return`, async (t) => {
      const store = await FaultyStore.start(t)
      const names = await store.recordMany(10)
      if (fault === 'closed') await store.proxy.close()
      else store.proxy.plan = () => fault
      const first = await store.uploader()
      await first.line(/uploader started/)
      if (fault !== 'closed') await store.proxy.next(({ method }) => method === 'HEAD')
      await assertStops(t, first, 'with the store down')

      const daemon = await store.uploader()
      const startedMs = performance.now()
      assert.match(await daemon.line(/uploads wait/, { withinMs: outageMs }), says)
      await sleep(outageMs - (performance.now() - startedMs))
      await comeBack(store, () => true)
      await assertDrains(t, store, daemon, names)
      const complaints = daemon.lines
        .filter((line) => /WARNING|ERROR/.test(line))
        // A look may be denied where uploads are not.
        .filter((line) => !/denies a look/.test(line))
      assert.equal(complaints.length, 1, complaints.join('\n'))
      await assertStops(t, daemon, 'with the store up')
    })

  for (const [name, operation, fault, bytes] of stages)
    test(`a ${name} holds nothing up for long`, async (t) => {
      const store = await FaultyStore.start(t)
      const names = [await store.record(bytes), await store.record(bytes)]
      const isStruck = (exchange: Exchange): boolean => exchange.operation === operation
      store.proxy.plan = (exchange) => (isStruck(exchange) ? fault : undefined)
      const daemon = await store.uploader()
      await daemon.line(/uploads wait/, { withinMs: 150_000 })
      await comeBack(store, isStruck)
      await assertDrains(t, store, daemon, names)
      assert.equal(store.count(daemon, /WARNING|ERROR/), 1, daemon.lines.join('\n'))
    })

  for (const [name, operation, fault, bytes] of unanswered)
    test(`an answer that never comes to a ${name} is no second upload`, async (t) => {
      const store = await FaultyStore.start(t)
      const names = [await store.record(bytes), await store.record(bytes)]
      store.proxy.plan = (exchange) => (exchange.operation === operation ? fault : undefined)
      const daemon = await store.uploader()
      await store.shipped(daemon, 2, 150_000)
      await store.assertAllOnce(names)
      const begun = /^(PutObject|CreateMultipartUpload)$/
      const uploads = store.proxy.exchanges.filter((exchange) => begun.test(exchange.operation))
      assert.equal(uploads.length, 2)
      assert.ok(store.count(daemon, /WARNING|ERROR/) <= 1, daemon.lines.join('\n'))
    })

  for (const seed of [1, 2])
    test(`whatever fails at random, nothing is lost and nothing twice (seed ${seed})`, async (t) => {
      const store = await FaultyStore.start(t)
      const names = await store.recordMany(30)
      names.push(await store.record(inParts))
      const random = randomNumbers(seed)
      const faults: Fault[] = [
        ...[reset, loseAnswer, refuse(500, 'InternalError'), refuse(503, 'SlowDown')],
        ...[refuse(403, 'AccessDenied'), refuse(400, 'ExpiredToken'), refuse(404, 'NoSuchBucket')],
        alter((body) => body.subarray(1)),
      ]
      store.proxy.plan = () => {
        const dice = random()
        if (dice < 0.02) return dice < 0.01 ? hang : hangAfterwards
        return dice < 0.4 ? faults[Math.floor(random() * faults.length)] : undefined
      }
      const first = await store.uploader({ UPLOAD_CONCURRENCY: 4 })
      await sleep(outageMs)
      await assertStops(t, first, 'amid faults')
      const struck = store.proxy.exchanges.filter(({ struck: fault }) => fault).length
      t.diagnostic(`${struck} of ${store.proxy.exchanges.length} requests failed`)
      store.proxy.plan = () => undefined
      const second = await store.uploader()
      await store.shipped(second, names.length - store.count(first, /moved to uploaded/))
      // What is left of an upload is found by a listing, and aborted, which fail like everything else.
      const notCleaned = store.proxy.exchanges.filter(
        ({ operation, struck: fault }) =>
          fault && /^(ListMultipartUploads|AbortMultipartUpload)$/.test(operation),
      )
      await store.assertAllOnce(names, notCleaned.length)
    })
})

function randomNumbers(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}
