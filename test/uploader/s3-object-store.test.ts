import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { after, type TestContext } from 'node:test'
import { startS3Server } from '../../demo/s3-server.ts'
import { systemClock } from '../../src/daemon/clock.ts'
import { fingerprint, type Fingerprint } from '../../src/uploader/fingerprint.ts'
import { StoreError, type ObjectUpload } from '../../src/uploader/object-store.ts'
import { S3ObjectStore } from '../../src/uploader/s3-object-store.ts'
import { UpstreamLimit } from '../../src/uploader/upstream-limit.ts'
import { compareContent, isContent } from '../../src/uploader/verify.ts'
import { S3Server, type S3ServerOptions } from '../support/s3-server.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { asAws, never, openWorkbench, padded, settingsFor } from './workbench.ts'

const key = 'recordings/2025/01/25/Front door #1 (é+%)_20250125_153045.mp4'
const mebibyte = 1024 * 1024

async function serve(t: TestContext, options: S3ServerOptions = {}): Promise<S3Server> {
  const server = await S3Server.start(options)
  t.after(async () => server.close())
  return server
}

const large = 65 * mebibyte
let largeFile: Promise<{ path: string; content: Fingerprint }> | undefined

let largeFolder = ''
after(async () => rm(largeFolder, { recursive: true, force: true }))

async function upload(t: TestContext, bytes = 1000): Promise<ObjectUpload> {
  const { path, content } = await (bytes === large
    ? (largeFile ??= makeLarge())
    : makeSmall(await temporaryFolder(t), bytes))
  return { path, key, content, metadata: { crc32: content.crc32 }, onSent: () => {} }
}

async function makeSmall(folder: string, bytes: number) {
  const path = join(folder, 'file.mp4')
  await writeFile(path, Buffer.alloc(bytes, 'x'))
  return { path, content: await fingerprint(path, 'etag', never) }
}

async function makeLarge() {
  const folder = await mkdtemp(join(tmpdir(), 'large-'))
  largeFolder = folder
  const path = join(folder, 'file.mp4')
  // No two parts alike, nor two pieces of a part.
  await writeFile(path, randomBytes(large))
  return { path, content: await fingerprint(path, 'etag', never) }
}

async function problem(tried: Promise<unknown>): Promise<StoreError> {
  return tried.then(
    () => assert.fail('it worked'),
    (error: unknown) => (error instanceof StoreError ? error : assert.fail(String(error))),
  )
}

test('a store that answers passes the check, though nothing is there and nothing is written', async (t) => {
  const server = await serve(t)
  await new S3ObjectStore(settingsFor(server)).check('recordings/.check', never)
  assert.deepEqual(
    server.requests.map(({ method }) => method),
    ['GET'],
  )
})

for (const [what, settings, kind] of [
  [
    'a wrong secret',
    { credentials: { accessKeyId: 'AKIDTEST', secretAccessKey: 'wrong' } },
    'wrong-credentials',
  ],
  [
    'an unknown key',
    { credentials: { accessKeyId: 'NOBODY', secretAccessKey: 'wrong' } },
    'wrong-credentials',
  ],
  ['a missing bucket', { bucket: 'nowhere' }, 'no-bucket'],
  ['a closed port', { endpoint: 'http://127.0.0.1:9' }, 'unreachable'],
] as const)
  test(`${what} is told apart at the check, at a look and at an upload`, async (t) => {
    const server = await serve(t, { accessKeyId: 'AKIDTEST' })
    const store = new S3ObjectStore({ ...settingsFor(server), ...settings })
    assert.equal((await problem(store.check('x', never))).kind, kind)
    if (kind !== 'no-bucket') assert.equal((await problem(store.head('x', never))).kind, kind)
    const refused = await problem(store.put(await upload(t), never))
    assert.deepEqual([refused.kind, refused.operation, refused.storeWide], [kind, 'write', true])
  })

for (const bytes of [0, 1, 70_000])
  test(`an object of ${bytes} bytes is what the file is, whatever is in its key`, async (t) => {
    const server = await serve(t)
    for (const settings of [settingsFor(server), undefined]) {
      const goods = await upload(t, bytes)
      const put = async (store: S3ObjectStore): Promise<void> => {
        await store.put(goods, never)
        const object = (await store.head(key, never)) ?? assert.fail()
        assert.equal(object.bytes, bytes)
        assert.equal(object.metadata.crc32, goods.content.crc32)
        assert.equal(await isContent(store, object, goods.content, never), true)
        assert.equal(await store.readCrc32(key, never), goods.content.crc32)
      }
      if (settings) await put(new S3ObjectStore(settings))
      else await asAws(server, async (aws) => put(new S3ObjectStore(aws)))
      server.objects.clear()
    }
  })

test('an existing key is refused; only a broken upload of our own is replaced', async (t) => {
  const server = await serve(t)
  await asAws(server, async (settings) => {
    const store = new S3ObjectStore(settings)
    const goods = await upload(t)
    await store.put(goods, never)
    assert.equal((await problem(store.put(goods, never))).kind, 'exists')
    assert.equal(
      (await problem(store.put({ ...goods, replaces: 'another' }, never))).kind,
      'exists',
    )
    await store.put({ ...goods, replaces: (await store.head(key, never))?.etag ?? '' }, never)
  })
})

test('an abort in the middle of the parts leaves no multipart upload behind', async (t) => {
  const server = await serve(t)
  const stop = new AbortController()
  let parts = 0
  server.options.onRequest = ({ query }) => {
    if (query.has('partNumber') && (parts += 1) === 3) stop.abort()
  }
  const store = new S3ObjectStore(settingsFor(server))
  await assert.rejects(store.put(await upload(t, large), stop.signal), /abort/i)
  assert.equal(parts >= 3, true)
  assert.equal(server.uploads.size, 0)
  assert.equal(server.objects.size, 0)
})

test('parts that fail for good leave no multipart upload behind; those of a crash are cleaned up', async (t) => {
  const server = await serve(t)
  const store = new S3ObjectStore(settingsFor(server))
  server.uploads.set('crashed', { key, headers: {}, parts: new Map() })
  server.uploads.set('of-another', { key: `${key}.x`, headers: {}, parts: new Map() })
  server.options.refuse = ({ query }) =>
    query.get('partNumber') === '3' ? { code: 'AccessDenied', status: 403 } : undefined
  assert.equal((await problem(store.put(await upload(t, large), never))).kind, 'denied')
  assert.deepEqual([...server.uploads.keys()], ['of-another'])
})

test('an overload reads the same, whether a request for the object or one for its size met it', async (t) => {
  const server = await serve(t, { refuse: () => ({ code: 'SlowDown', status: 503 }) })
  const store = new S3ObjectStore(settingsFor(server))
  const [head, check] = await Promise.all([
    problem(store.head(key, never)),
    problem(store.check(key, never)),
  ])
  assert.deepEqual([head.message, check.message], ['HTTP 503', 'SlowDown: SlowDown (test)'])
  assert.deepEqual([head.kind, head.hint], [check.kind, check.hint])
})

test('a part that fails once is sent again; how far all is can be followed', async (t) => {
  const server = await serve(t)
  let failures = 1
  server.options.refuse = ({ query }) =>
    query.get('partNumber') === '2' && failures-- > 0
      ? { code: 'SlowDown', status: 503 }
      : undefined
  const goods = await upload(t, large)
  const store = new S3ObjectStore(settingsFor(server))
  const sent: number[] = []
  await store.put({ ...goods, onSent: (n) => sent.push(n) }, never)
  assert.equal(sent.at(-1), large)
  assert.deepEqual(
    sent.toSorted((a, b) => a - b),
    sent,
  )
  const object = (await store.head(key, never)) ?? assert.fail()
  assert.match(object.etag, /-5$/)
  assert.equal(compareContent(object, goods.content), 'equal')
  assert.ok((await server.content(key)).equals(await readFile(goods.path)))
})

for (const bytes of [5 * mebibyte + 7, large])
  for (const [what, megabits] of [
    ['at once', undefined],
    ['in turns', 1000],
  ] as const)
    test(`every byte arrives in its place, of ${bytes} sent ${what}, and proven by its CRC32 on AWS`, async (t) => {
      const server = await serve(t)
      const goods = await upload(t, large)
      const content = await readFile(goods.path)
      const path = join(await temporaryFolder(t), 'file.mp4')
      await writeFile(path, content.subarray(0, bytes))
      const limit = megabits === undefined ? undefined : new UpstreamLimit(megabits, systemClock)
      await asAws(server, async (settings) => {
        const store = new S3ObjectStore(settings, systemClock, limit)
        const sums = await fingerprint(path, 'crc32', never)
        await store.put({ ...goods, path, content: sums }, never)
        const object = (await store.head(key, never)) ?? assert.fail()
        assert.equal(object.crc32, sums.crc32)
      })
      assert.ok((await server.content(key)).equals(content.subarray(0, bytes)))
    })

test('a store that does not know conditions is asked without them from then on', async (t) => {
  const server = await serve(t)
  const store = new S3ObjectStore(settingsFor(server))
  server.options.refuse = ({ method, headers }) =>
    method === 'PUT' && headers['if-none-match']
      ? { code: 'NotImplemented', status: 501 }
      : undefined
  await store.put(await upload(t), never)
  assert.equal(server.objects.size, 1)
})

test('with S3rver, which knows neither conditions nor checksums, all of it works', async (t) => {
  const bench = await openWorkbench(t)
  const credentials = { accessKeyId: 'DEMO', secretAccessKey: 'demo-secret' }
  const folder = await temporaryFolder(t)
  const server = await startS3Server({ folder, bucket: 'footage', ...credentials })
  t.after(async () => server.close())
  const { endpoint } = server
  const settings = { ...settingsFor(bench.server), endpoint, credentials }
  const store = new S3ObjectStore(settings)
  await store.check('recordings/.check', never)
  bench.deps.store = store
  const small = await bench.record('Small_20250125_153045.mp4')
  const long = await bench.record('Large_20250125_153045.mp4')
  await padded(long, large)
  for (const path of [small, long]) assert.equal((await bench.ship(path)).why, 'shipped')
  const head = await store.head('recordings/2025/01/25/Large_20250125_153045.mp4', never)
  assert.equal(head?.bytes, large)
  assert.equal(head.metadata['video-codec'], 'h264')
  const again = await bench.record('Small_20250125_153045.mp4')
  await padded(again, mebibyte)
  const end = await bench.ship(again)
  assert.ok(end.why === 'shipped')
  assert.equal(end.key, 'recordings/2025/01/25/Small_20250125_153045_2.mp4')
  const wrong = { ...settings, credentials: { ...credentials, secretAccessKey: 'wrong' } }
  assert.equal(
    (await problem(new S3ObjectStore(wrong).check('x', never))).kind,
    'wrong-credentials',
  )
})
