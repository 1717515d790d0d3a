import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { alter, loseAnswer, refuse, type Exchange, type Fault } from '../support/fault-proxy.ts'
import { FaultyStore } from './faulty-store.ts'

/** Strikes each of these operations once on each key. */
function onceEach(operations: RegExp, fault: Fault) {
  const struck = new Set<string>()
  return ({ operation, key }: Exchange): Fault | undefined => {
    if (!operations.test(operation) || struck.has(operation + key)) return undefined
    struck.add(operation + key)
    return fault
  }
}

describe('the uploader and a store with faults', { concurrency: true }, () => {
  test('a lost answer is no second upload, and leaves no upload incomplete', async (t) => {
    const store = await FaultyStore.start(t)
    const operations = /^(PutObject|CreateMultipartUpload|UploadPart|CompleteMultipartUpload)$/
    store.proxy.plan = onceEach(operations, loseAnswer)
    const names = [await store.record(), await store.record(70 << 20)]
    const daemon = await store.uploader()
    await store.shipped(daemon, 2)
    await store.assertAllOnce(names)
    const asked = store.proxy.exchanges.map(({ operation }) => operation)
    assert.equal(asked.filter((operation) => operation === 'PutObject').length, 1)
    assert.equal(asked.filter((operation) => operation === 'UploadPart').length, 6)
    assert.equal(store.count(daemon, /WARNING/), 1)
  })

  for (const [what, change, sizes] of [
    ['altered', (body: Buffer) => Buffer.from(body).fill('x', 250_000), [300_000, 70 << 20]],
    ['truncated', (body: Buffer) => body.subarray(0, body.length / 2), [300_000]],
  ] as const)
    test(`an object that is ${what} on its way is noticed and replaced`, async (t) => {
      const store = await FaultyStore.start(t, { careful: false })
      store.proxy.plan = onceEach(/^(PutObject|UploadPart)$/, alter(change))
      const names: string[] = []
      for (const size of sizes) names.push(await store.record(size))
      const daemon = await store.uploader()
      await store.shipped(daemon, sizes.length)
      await store.assertAllOnce(names)
      const noticed = /WARNING.*does not hold what was uploaded; replacing it/
      assert.equal(store.count(daemon, noticed), sizes.length)
    })

  test('a store that checks digests refuses what was altered, and gets it again', async (t) => {
    const store = await FaultyStore.start(t)
    const change = (body: Buffer): Buffer => Buffer.from(body).fill('x', 250_000)
    store.proxy.plan = onceEach(/^PutObject$/, alter(change))
    const names = await store.recordMany(3)
    const daemon = await store.uploader()
    await store.shipped(daemon, 3)
    await store.assertAllOnce(names)
  })

  test('a key with the same content counts as done, one with other content is kept', async (t) => {
    const store = await FaultyStore.start(t)
    const names = await store.recordMany(3)
    const [same = '', other = '', unknown = ''] = names
    const file = async (name: string): Promise<Buffer> =>
      readFile(join(store.folder, 'recordings', name))
    await store.put(same, await file(same))
    await store.put(other, Buffer.from('of somebody else'))
    // Of this very content, but nothing the store says of it shows that.
    await store.put(unknown, await file(unknown), 'no-md5')
    const daemon = await store.uploader()
    await store.shipped(daemon, 3)

    const keys = store
      .ledger()
      .map(({ key }) => key)
      .sort()
    const suffixed = (name: string): string => store.keyOf(name).replace('.mp4', '_2.mp4')
    assert.deepEqual(keys, [store.keyOf(same), suffixed(other), suffixed(unknown)])
    assert.equal((await store.server.content(store.keyOf(other))).toString(), 'of somebody else')
    assert.equal(store.count(daemon, /WARNING.*its key holds something else/), 2)
    const reads = store.proxy.exchanges.filter(
      ({ operation, key }) => operation === 'GetObject' && store.server.objects.has(key),
    )
    assert.equal(reads.length, 0, 'what is not ours was read back')
  })

  test('credentials that expire are said once, and files wait until they are renewed', async (t) => {
    const store = await FaultyStore.start(t)
    store.proxy.plan = () => refuse(400, 'ExpiredToken')
    const names = await store.recordMany(10)
    const daemon = await store.uploader()
    await daemon.line(/WARNING.*uploads wait: The credentials have expired: renew/)
    await store.proxy.next(() => true)
    store.proxy.plan = () => undefined
    await store.shipped(daemon, 10)
    assert.equal(store.count(daemon, /WARNING/), 1)
    await store.assertAllOnce(names)
  })
})
