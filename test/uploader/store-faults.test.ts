import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { alter, loseAnswer, type Fault } from '../support/fault-proxy.ts'
import { FaultyStore } from './faulty-store.ts'

/** Strikes each key once, at one of these operations. */
function onceEach(operations: RegExp, fault: Fault) {
  const struck = new Set<string>()
  return ({ operation, key }: { operation: string; key: string }): Fault | undefined => {
    if (!operations.test(operation) || struck.has(key)) return undefined
    struck.add(key)
    return fault
  }
}

describe('the uploader and a store with faults', { concurrency: true }, () => {
  test('a lost answer to PutObject or CompleteMultipartUpload is no second upload', async (t) => {
    const store = await FaultyStore.start(t)
    const operations = /^(PutObject|CompleteMultipartUpload)$/
    store.proxy.plan = onceEach(operations, loseAnswer)
    const names = [await store.record(), await store.record(70 << 20)]
    const daemon = await store.uploader()
    await store.shipped(daemon, 2)
    await store.assertAllOnce(names)
    const asked = store.proxy.exchanges.map(({ operation }) => operation)
    assert.equal(asked.filter((operation) => operation === 'PutObject').length, 1)
    assert.equal(asked.filter((operation) => operation === 'CreateMultipartUpload').length, 1)
  })

  for (const [what, change] of [
    ['altered', (body: Buffer) => Buffer.from(body).fill('x', 250_000)],
    ['truncated', (body: Buffer) => body.subarray(0, body.length / 2)],
  ] as const)
    test(`an object that is ${what} on its way is noticed and replaced`, async (t) => {
      const store = await FaultyStore.start(t, { careful: false })
      store.proxy.plan = onceEach(/^(PutObject|UploadPart)$/, alter(change))
      const names = [await store.record(), await store.record(70 << 20)]
      const daemon = await store.uploader()
      await store.shipped(daemon, 2)
      await store.assertAllOnce(names)
      const noticed = /does not hold what was uploaded; replacing it/
      assert.equal(daemon.lines.filter((line) => noticed.test(line)).length, 2)
    })
})
