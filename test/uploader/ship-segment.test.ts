import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import {
  appendFile,
  copyFile,
  link,
  mkdir,
  readFile,
  readdir,
  rename,
  rm,
  stat,
  truncate,
  writeFile,
} from 'node:fs/promises'
import { basename, join } from 'node:path'
import test from 'node:test'
import type { LedgerLine } from '../../src/uploader/ledger.ts'
import type { ObjectStore } from '../../src/uploader/object-store.ts'
import { S3ObjectStore } from '../../src/uploader/s3-object-store.ts'
import { KeyClaims } from '../../src/uploader/object-place.ts'
import { asAws, fragmented, fragmentedHevc, never, openWorkbench, padded } from './workbench.ts'

const name = 'Front_20250125_153045.mp4'
const key = `recordings/2025/01/25/${name}`
const day = '2025-01-25'
const mebibyte = 1024 * 1024

function sha(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex')
}

test('a segment ends up in S3 and in uploaded/, equal by hash, with everything said of it', async (t) => {
  const { server, folders, log, record, ship, ledgerText } = await openWorkbench(t)
  const end = await ship(await record(name, await fragmented()))
  assert.equal(end.why, 'shipped')
  const uploaded = await readFile(join(folders.uploaded, name))
  assert.equal(sha(await server.content(key)), sha(uploaded))
  const object = server.objects.get(key) ?? assert.fail()
  const { 'x-amz-meta-start': start, 'x-amz-meta-crc32': crc32, ...headers } = object.headers
  assert.match(start ?? '', /^2025-01-25T15:30:45\.000[+-]\d\d:\d\d$/)
  assert.match(crc32 ?? '', /^[0-9a-f]{8}$/)
  assert.deepEqual(headers, {
    'content-type': 'video/mp4',
    'content-disposition': 'inline',
    'cache-control': 'max-age=31536000',
    'x-amz-storage-class': 'STANDARD',
    'x-amz-server-side-encryption': 'AES256',
    'x-amz-meta-camera': 'Front',
    'x-amz-meta-duration-seconds': headers['x-amz-meta-duration-seconds'],
    'x-amz-meta-video-codec': 'h264',
    'x-amz-meta-audio-codec': 'aac',
    'x-amz-meta-size': String(uploaded.length),
  })
  const line = JSON.parse(await ledgerText(day)) as LedgerLine
  assert.deepEqual(line, {
    ...{ file: name, camera: 'Front', start, crc32, bytes: uploaded.length, key },
    durationSeconds: Number(headers['x-amz-meta-duration-seconds']),
    ...{ endpoint: server.url, bucket: 'footage', etag: object.etag },
    uploadedAt: new Date(Math.floor(object.lastModified.getTime() / 1000) * 1000).toISOString(),
  })
  assert.ok(Math.abs(line.durationSeconds - 2) < 0.2)
  assert.deepEqual(await readdir(folders.recordings), ['open'])
  for (const said of [/upload started/, /upload verified/, /moved to uploaded/])
    assert.equal(log.count(said), 1)
})

test('two files whose names meet in one key never overwrite each other', async (t) => {
  const bench = await openWorkbench(t, { conditional: false })
  const { server, record, ship, ledgerText, deps, store } = bench
  await ship(await record(name))
  const second = name.replace('.mp4', '_2.mp4')
  const paths = [await record(name), await record(second)]
  for (const [index, path] of paths.entries()) await padded(path, 500_000 + index * 1000)
  const contents = await Promise.all(paths.map(async (path) => sha(await readFile(path))))
  const [first = '', other = ''] = paths
  // The first has chosen its key before the other uploads, and uploads when the other is done.
  let begin: () => void = () => {}
  const firstBegins = new Promise<void>((resolve) => (begin = resolve))
  const put = store.put.bind(store)
  deps.store = Object.assign(store, {
    put: async (...[upload, signal]: Parameters<ObjectStore['put']>) => {
      if (upload.path === first) begin()
      await (upload.path === first ? otherShipped : firstBegins)
      return put(upload, signal)
    },
  })
  const otherShipped = ship(other)
  const ends = await Promise.all([ship(first), otherShipped])
  assert.deepEqual(
    ends.map(({ why }) => why),
    ['shipped', 'shipped'],
  )
  const stored = [...server.objects.keys()].map(async (stem) => sha(await server.content(stem)))
  const hashes = await Promise.all(stored)
  assert.equal(new Set(hashes).size, 3)
  for (const content of contents) assert.ok(hashes.includes(content))
  const keys = (await ledgerText(day))
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as LedgerLine).key)
  assert.equal(new Set(keys).size, 3)
})

test('on AWS the store itself guards against overwriting and damage', async (t) => {
  const bench = await openWorkbench(t)
  await asAws(bench.server, async (settings) => {
    bench.deps.store = new S3ObjectStore(settings)
    assert.equal((await bench.ship(await bench.record(name))).why, 'shipped')
  })
  const { headers } = bench.server.requests.find(({ method }) => method === 'PUT') ?? assert.fail()
  assert.equal(headers['if-none-match'], '*')
  assert.equal(headers['x-amz-checksum-crc32'], bench.server.objects.get(key)?.crc32)
  assert.equal(headers['transfer-encoding'], undefined)
})

test('on AWS what is recorded while it runs costs a PUT and a HEAD, and nothing that is there', async (t) => {
  const bench = await openWorkbench(t)
  const { server, deps, record, ship } = bench
  const methods = (): string[] => server.requests.splice(0).map(({ method }) => method)
  await asAws(server, async (settings) => {
    deps.store = new S3ObjectStore(settings)
    deps.startedMs = new Date('2025-01-25T15:00:00').getTime()
    assert.equal((await ship(await record(name))).why, 'shipped')
    assert.deepEqual(methods(), ['PUT', 'HEAD'])
    const first = await server.content(key)

    const other = await record(name)
    await padded(other, 500_000)
    assert.equal((await ship(other)).why, 'shipped')
    assert.deepEqual(methods(), ['PUT', 'HEAD', 'HEAD', 'PUT', 'HEAD'])
    assert.deepEqual(await server.content(key), first)
    assert.equal((await server.content(key.replace('.mp4', '_2.mp4'))).length, 500_000)

    await rename(join(bench.folders.uploaded, name), join(bench.folders.recordings, name))
    assert.equal((await ship(join(bench.folders.recordings, name))).why, 'shipped')
    assert.deepEqual(methods(), ['PUT', 'HEAD'])
    assert.equal(server.objects.size, 2)
  })
})

test('beyond 64 MiB a file goes up in parts, and the whole is proven without reading it', async (t) => {
  const bench = await openWorkbench(t)
  const path = await bench.record(name)
  await padded(path, 65 * mebibyte)
  await asAws(bench.server, async (settings) => {
    bench.deps.store = new S3ObjectStore(settings)
    assert.equal((await bench.ship(path)).why, 'shipped')
  })
  const object = bench.server.objects.get(key) ?? assert.fail()
  assert.match(object.etag, /-5$/)
  assert.ok(object.crc32)
  const uploaded = await readFile(join(bench.folders.uploaded, name))
  assert.equal(sha(await bench.server.content(key)), sha(uploaded))
  const reads = bench.server.requests.filter(({ method, key: k }) => method === 'GET' && k !== '')
  assert.equal(reads.length, 0)
})

test('the same content under the key is recognised as done, with one ledger line', async (t) => {
  const { server, folders, record, ship, ledgerText } = await openWorkbench(t)
  await ship(await record(name))
  // As after a crash before the move.
  await link(join(folders.uploaded, name), join(folders.recordings, name))
  await rm(join(folders.uploaded, name))
  assert.equal((await ship(join(folders.recordings, name))).why, 'shipped')
  assert.equal(server.requests.filter(({ method }) => method === 'PUT').length, 1)
  assert.equal((await ledgerText(day)).trim().split('\n').length, 1)
  assert.deepEqual(await readdir(folders.uploaded), [name])
})

test('what comes back from uploaded/ is known in S3, whatever suffixes moves have given it', async (t) => {
  const { server, folders, record, ship } = await openWorkbench(t)
  const suffixed = (suffix: string): string => name.replace('.mp4', `${suffix}.mp4`)
  for (const bytes of [500_000, 501_000, 502_000]) {
    const path = await record(name)
    await padded(path, bytes)
    await ship(path)
  }
  await rm(folders.ledger, { recursive: true })
  await mkdir(folders.ledger)
  for (const [from, to] of [
    ['_3', '_2'],
    ['_2', '_2_2'],
  ] as const) {
    const path = join(folders.recordings, suffixed(to))
    await rename(join(folders.uploaded, suffixed(from)), path)
    const end = await ship(path)
    assert.ok(end.why === 'shipped' && end.key === key.replace('.mp4', `${from}.mp4`))
  }
  assert.equal(server.objects.size, 3)
})

test('what a crash left uploaded before the ledger line gets its line, and is not sent again', async (t) => {
  const { server, folders, record, ship, ledgerText } = await openWorkbench(t)
  await ship(await record(name))
  const first = await ledgerText(day)
  await rm(join(folders.ledger, `${day}.ndjson`))
  await copyFile(join(folders.uploaded, name), join(folders.recordings, name))
  await rm(join(folders.uploaded, name))
  await ship(join(folders.recordings, name))
  assert.equal(await ledgerText(day), first)
  assert.equal(server.objects.size, 1)
})

test('other content under the key is kept, and ours goes under a suffixed key, with a warning', async (t) => {
  const { server, log, record, ship } = await openWorkbench(t)
  await ship(await record(name))
  const first = await server.content(key)
  const path = await record(name)
  await padded(path, mebibyte)
  const end = await ship(path)
  assert.ok(end.why === 'shipped')
  assert.equal(end.key, key.replace('.mp4', '_2.mp4'))
  assert.deepEqual(await server.content(key), first)
  assert.equal((await server.content(end.key)).length, mebibyte)
  assert.equal(log.count(/WARNING its key holds something else/), 1)
})

test('a key that appears between the look and the upload is not overwritten either', async (t) => {
  const { server, record, ship } = await openWorkbench(t)
  const foreign = { path: '', bytes: 1, etag: 'x', lastModified: new Date(), headers: {} }
  server.options.onRequest = ({ method }) => {
    if (method === 'PUT' && !server.objects.has(key)) server.objects.set(key, foreign)
  }
  const end = await ship(await record(name))
  assert.ok(end.why === 'shipped')
  assert.equal(end.key, key.replace('.mp4', '_2.mp4'))
  assert.equal(server.objects.get(key), foreign)
})

for (const damage of ['cut off', 'altered'] as const)
  test(`an upload of ours that was ${damage} in the store is noticed and replaced`, async (t) => {
    const { server, log, record, ship } = await openWorkbench(t)
    let damaged = false
    server.options.onRequest = async ({ method }) => {
      const object = server.objects.get(key)
      if (damaged || method !== 'HEAD' || !object) return
      damaged = true
      if (damage === 'cut off') object.bytes -= 1
      else {
        object.etag = 'd'.repeat(32)
        const content = await readFile(object.path)
        await writeFile(object.path, content.fill(0, 500, 600))
      }
    }
    const end = await ship(await record(name))
    assert.ok(end.why === 'shipped')
    assert.equal(end.key, key)
    assert.equal(log.count(/does not hold what was uploaded/), 1)
    assert.equal(sha(await server.content(key)), sha(await readFile(end.path)))
  })

test('a store without any checksum is proven by reading the object back', async (t) => {
  const { server, record, ship } = await openWorkbench(t, { checksums: false })
  assert.equal((await ship(await record(name))).why, 'shipped')
  assert.equal(server.requests.filter(({ method }) => method === 'GET').length, 1)
})

test('a store that ignores conditions is protected by the look before', async (t) => {
  const { server, record, ship } = await openWorkbench(t, { conditional: false })
  await ship(await record(name))
  const path = await record(name)
  await padded(path, mebibyte)
  await ship(path)
  assert.deepEqual([...server.objects.keys()].sort(), [key, key.replace('.mp4', '_2.mp4')])
})

test('without s3:ListBucket a missing key answers 403; on AWS uploads work all the same', async (t) => {
  const bench = await openWorkbench(t)
  const { server, record, ship } = bench
  server.options.refuse = ({ method, key: wanted }) =>
    method !== 'PUT' && !server.objects.has(wanted)
      ? { code: 'AccessDenied', status: 403 }
      : undefined
  await asAws(server, async (settings) => {
    bench.deps.store = new S3ObjectStore(settings)
    assert.equal((await ship(await record(name))).why, 'shipped')
  })
})

for (const [change, act] of [
  ['grows', async (path: string) => appendFile(path, 'more')],
  ['shrinks', async (path: string) => truncate(path, 2 * mebibyte)],
] as const)
  test(`a file that ${change} while it is uploaded is not accepted; the right content is, in the end`, async (t) => {
    const { server, folders, record, ship, ledgerText } = await openWorkbench(t)
    const path = await record(name)
    await padded(path, 20 * mebibyte)
    server.options.onRequest = async ({ method }) => {
      if (method === 'PUT') await act(path)
    }
    assert.equal((await ship(path)).why, 'changed')
    await assert.rejects(ledgerText(day))
    assert.ok((await readdir(folders.recordings)).includes(name))
    delete server.options.onRequest
    await padded(path, 5 * mebibyte)
    const end = await ship(path)
    assert.ok(end.why === 'shipped')
    assert.deepEqual([...server.objects.keys()], [key])
    assert.equal(sha(await server.content(key)), sha(await readFile(end.path)))
  })

test('a file that vanishes while it is uploaded is not accepted', async (t) => {
  const { server, record, ship, ledgerText } = await openWorkbench(t)
  const path = await record(name)
  server.options.onRequest = async ({ method }) => {
    if (method === 'PUT') await rm(path)
  }
  assert.equal((await ship(path)).why, 'changed')
  assert.equal((await ship(path)).why, 'gone')
  await assert.rejects(ledgerText(day))
})

test('garbage goes to data/quarantine/ with its reason, said as an error', async (t) => {
  const { folders, log, record, ship } = await openWorkbench(t)
  const path = await record(name)
  await writeFile(path, 'no video at all')
  assert.equal((await ship(path)).why, 'quarantined')
  assert.deepEqual((await readdir(folders.quarantine)).sort(), [name, `${name}.reason.txt`])
  assert.match(
    await readFile(join(folders.quarantine, `${name}.reason.txt`), 'utf8'),
    /nvalid|moov/,
  )
  assert.equal(log.count(/^ERROR/), 1)
})

test('the longest of names can be quarantined', async (t) => {
  const { folders, record, ship } = await openWorkbench(t)
  const long = `${'é'.repeat(125)}.mp4`
  const path = await record(long)
  await writeFile(path, 'no video at all')
  assert.equal((await ship(path)).why, 'quarantined')
  assert.equal((await readdir(folders.quarantine)).length, 2)
})

test('a file without any byte is deleted', async (t) => {
  const { folders, record, ship } = await openWorkbench(t)
  const path = await record(name)
  await truncate(path)
  assert.equal((await ship(path)).why, 'discarded')
  assert.deepEqual(await readdir(folders.recordings), ['open'])
})

for (const odd of [
  'it\'s a "file" with spaces.mp4',
  'two\nlines_20250125_153045.mp4',
  'naïve 😀.mp4',
  `${'x'.repeat(251)}.mp4`,
  'a%2Fb+c.mp4',
])
  test(`a file named ${JSON.stringify(odd.slice(0, 40))} is shipped`, async (t) => {
    const { server, folders, record, ship } = await openWorkbench(t)
    assert.equal((await ship(await record(odd))).why, 'shipped')
    assert.deepEqual(await readdir(folders.uploaded), [odd])
    const [stored] = server.objects.keys()
    assert.equal(stored, `recordings/2025/01/25/${odd}`)
  })

test('a missing ffprobe is waited for; nothing is quarantined', async (t) => {
  const bench = await openWorkbench(t)
  const path = await bench.record(name)
  bench.deps.tools = { ffmpeg: 'ffmpeg', ffprobe: '/nowhere/ffprobe' }
  await assert.rejects(bench.ship(path), /ffprobe cannot be run/)
  assert.deepEqual(await readdir(bench.folders.quarantine), [])
  bench.deps.tools = { ffmpeg: 'ffmpeg', ffprobe: 'ffprobe' }
  assert.equal((await bench.ship(path)).why, 'shipped')
})

test('uploaded as it is for want of room and killed, room again: still one object', async (t) => {
  const bench = await openWorkbench(t)
  const path = await bench.record(name, await fragmentedHevc())
  const noRoom = join(bench.folders.base, 'no-room')
  await writeFile(noRoom, '#!/bin/sh\necho "No space left on device" >&2\nexit 1\n', {
    mode: 0o700,
  })
  bench.deps.tools = { ffmpeg: noRoom, ffprobe: 'ffprobe' }
  // Dies before the ledger line.
  bench.deps.ledger = {
    append: async () => Promise.reject(new Error('killed')),
    linesOf: async () => [],
  } as never
  await assert.rejects(bench.ship(path), /killed/)
  bench.deps.tools = { ffmpeg: 'ffmpeg', ffprobe: 'ffprobe' }
  bench.deps.ledger = bench.ledger
  bench.deps.claims = new KeyClaims()
  assert.equal((await bench.ship(path)).why, 'shipped')
  assert.deepEqual([...bench.server.objects.keys()], [key])
  assert.equal(
    sha(await bench.server.content(key)),
    sha(await readFile(join(bench.folders.uploaded, name))),
  )
})

for (const [where, folder, other] of [
  ['open/', 'open', name.replace('.mp4', '.1f0c93ab.mp4')],
  ['uploaded/', 'uploaded', name],
] as const)
  test(`a file that a crash in a move left in ${where} as well is one object and one file`, async (t) => {
    const { server, folders, record, ship } = await openWorkbench(t)
    const path = await record(name, await fragmented())
    await link(path, join(folders[folder], other))
    assert.equal((await ship(path)).why, 'shipped')
    assert.deepEqual(await readdir(folders.open), [])
    assert.deepEqual(await readdir(folders.uploaded), [name])
    assert.deepEqual([...server.objects.keys()], [key])
    assert.equal(sha(await server.content(key)), sha(await readFile(join(folders.uploaded, name))))
  })

test('a broken upload of a file as it was is replaced by the finalized one after a crash', async (t) => {
  const bench = await openWorkbench(t)
  const path = await bench.record(name, await fragmentedHevc())
  const noRoom = join(bench.folders.base, 'no-room')
  await writeFile(noRoom, '#!/bin/sh\necho "No space left on device" >&2\nexit 1\n', {
    mode: 0o700,
  })
  bench.deps.tools = { ffmpeg: noRoom, ffprobe: 'ffprobe' }
  const stop = new AbortController()
  bench.server.options.onRequest = ({ method }) => {
    const object = bench.server.objects.get(key)
    if (method !== 'HEAD' || !object) return
    object.bytes -= 1
    stop.abort()
  }
  await assert.rejects(bench.ship(path, stop.signal))
  delete bench.server.options.onRequest
  bench.deps.tools = { ffmpeg: 'ffmpeg', ffprobe: 'ffprobe' }
  bench.deps.claims = new KeyClaims()
  assert.equal((await bench.ship(path)).why, 'shipped')
  assert.deepEqual([...bench.server.objects.keys()], [key])
  const uploaded = await readFile(join(bench.folders.uploaded, name))
  assert.equal(sha(await bench.server.content(key)), sha(uploaded))
  assert.notEqual(sha(uploaded), sha(await readFile(await fragmentedHevc())))
})

test('a lost answer to the upload is no second upload', async (t) => {
  const { server, record, ship } = await openWorkbench(t)
  const path = await record(name)
  const stop = new AbortController()
  server.options.onRequest = ({ method }) => {
    if (method === 'HEAD' && server.objects.has(key)) stop.abort()
  }
  await assert.rejects(ship(path, stop.signal))
  delete server.options.onRequest
  assert.equal((await ship(path, never)).why, 'shipped')
  assert.equal(server.requests.filter(({ method }) => method === 'PUT').length, 1)
})

test('a file in the way in uploaded/ is not overwritten', async (t) => {
  const { folders, record, ship } = await openWorkbench(t)
  await writeFile(join(folders.uploaded, name), 'something else')
  const end = await ship(await record(name))
  assert.ok(end.why === 'shipped')
  assert.equal(basename(end.path), name.replace('.mp4', '_2.mp4'))
  assert.equal((await stat(join(folders.uploaded, name))).size, 14)
})
