import assert from 'node:assert/strict'
import { watch } from 'node:fs'
import { copyFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import { foldersBelow, makeFolders } from '../../src/segments/folders.ts'
import { finalize } from '../../src/uploader/finalize.ts'
import { changingSegment } from '../mp4/changing-picture.ts'
import type { S3Request } from '../support/s3-server.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { CrashSite, day, key, mp4Files, name } from './crash-site.ts'
import { finalized, finalizing, fragmentedHevc, never, padded } from './workbench.ts'

const large = 70 << 20

/** When a request of the uploader's reaches the store. */
const atTheStore: [
  when: string,
  bytes: number,
  is: (request: S3Request, stored: boolean) => boolean,
][] = [
  ['before the upload', 0, ({ method }, stored) => method === 'HEAD' && !stored],
  ['in the upload', 30 << 20, ({ method }) => method === 'PUT'],
  ['when the store has all of the upload', 0, ({ method }) => method === 'PUT'],
  ['after completion', 0, ({ method }, stored) => method === 'HEAD' && stored],
  ['before the first part', large, ({ query }) => query.has('uploads')],
  ['in a part', large, ({ query }) => query.get('partNumber') === '3'],
  ['after the last part', large, ({ method, query }) => method === 'POST' && query.has('uploadId')],
  ['after parts were joined', large, ({ method }, stored) => method === 'HEAD' && stored],
]

/** What makes a shipped file durable, call by call, in this order. */
const durable: [call: string, nth: number, what: string][] = [
  ['fsync', 1, 'before the remux takes the place of the file'],
  ['fsync', 2, 'after it has'],
  ['write', 1, 'before the ledger line'],
  ['fsync', 3, 'before the ledger line is synced'],
  ['fsync', 4, 'before the folder of the ledger is synced'],
  ['fsync', 5, 'before the move'],
  ['link', 1, 'when the file gets its name in uploaded/'],
  ['fsync', 6, 'before that name is synced'],
  ['unlink', 1, 'before the old name goes'],
  ['fsync', 7, 'before that is synced, too'],
]

/** What divides a segment whose picture changes twice, call by call. */
const dividing: [call: string, nth: number, what: string][] = [
  ['link', 1, 'before the second part has its name'],
  ['unlink', 1, 'when the second part has two names'],
  ['link', 2, 'before the third part has its name'],
  ['unlink', 2, 'before the first part takes the place of the segment'],
  ['link', 3, 'when the first of the parts moves to uploaded/'],
]

// They mostly wait: for two seconds of silence around each file.
describe('the uploader, killed with -9', { concurrency: 5 }, () => {
  test('twelve times at random moments of a backlog, has everything in S3 exactly once', async (t) => {
    const site = await CrashSite.open(t)
    const largePath = await site.record('Large_20250125_120000.mp4')
    await padded(largePath, large)
    await site.record('Large_20250125_120000.mp4', largePath)
    let seed = 20250125
    const random = (): number => {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0
      return seed / 2 ** 32
    }
    for (let n = 10; n < 55; n += 1) {
      const kinds = [undefined, await finalized(), await fragmentedHevc()]
      await site.record(`Front_20250125_1530${n}.mp4`, kinds[n % 3])
    }
    // Counted in requests, for how much is shipped in a second is the machine's business.
    for (let kills = 0; kills < 12; kills += 1) {
      const daemon = await site.start()
      let requests = Math.ceil(random() * 16)
      site.server.options.onRequest = () => {
        requests -= 1
        if (requests === 0) setTimeout(() => daemon.process.kill('SIGKILL'), random() * 20)
      }
      await daemon.ended
      assert.equal(daemon.process.signalCode, 'SIGKILL')
    }
    delete site.server.options.onRequest
    const left = (await mp4Files(site.folders.recordings)).length
    t.diagnostic(`${left} of 46 files left for the last start`)
    assert.ok(left > 0 && left < 46, `${left} files`)
    const last = await site.start()
    await site.drained()
    assert.equal(await last.stop(), 0)
    await site.assertEachOnce()
  })

  for (const [when, bytes, is] of atTheStore)
    test(`${when}, has everything in S3 exactly once after a restart`, async (t) => {
      const site = await CrashSite.open(t)
      const path = await site.record(name)
      if (bytes > 0) {
        await padded(path, bytes)
        await site.record(name, path)
      }
      const first = await site.start()
      site.server.options.onRequest = (request) => {
        if (is(request, site.server.objects.has(key))) first.process.kill('SIGKILL')
      }
      await first.ended
      assert.equal(first.process.signalCode, 'SIGKILL')
      delete site.server.options.onRequest
      const second = await site.start()
      await site.drained()
      assert.equal(await second.stop(), 0)
      await site.assertEachOnce()
    })

  test('in the finalizing remux, has everything in S3 exactly once after a restart', async (t) => {
    const site = await CrashSite.open(t)
    await site.record(name)
    const watcher = watch(site.folders.tmp)
    t.after(() => watcher.close())
    const first = await site.start()
    watcher.on('change', () => first.process.kill('SIGKILL'))
    await first.ended
    watcher.close()
    assert.equal(first.process.signalCode, 'SIGKILL')
    const second = await site.start()
    await site.drained()
    assert.equal(await second.stop(), 0)
    await site.assertEachOnce()
  })

  for (const [call, nth, what] of durable)
    test(`${what}, has everything in S3 exactly once after a restart`, async (t) => {
      const site = await CrashSite.open(t)
      await site.record(name)
      const journal = join(site.folders.ledger, `${day}.ndjson`)
      await dieAt(site, call, nth, call === 'fsync' ? [] : [site.path(name), journal])
      const second = await site.start()
      await site.drained()
      await second.line(/uploader started/)
      assert.equal(await second.stop(), 0)
      await site.assertEachOnce()
    })

  for (const [call, nth, what] of dividing)
    test(`${what}, has each part in S3 exactly once after a restart`, async (t) => {
      const site = await CrashSite.open(t)
      const pieces = [{ size: '64x36' }, { size: '98x50' }, { size: '64x36' }]
      const segment = join(site.folders.base, 'segment.mp4')
      await changingSegment(segment, pieces, { sound: true })
      await expectParts(t, site, segment)
      await dieAt(site, call, nth, [])
      const second = await site.start()
      await site.drained()
      assert.equal(await second.stop(), 0)
      await site.assertEachOnce()
    })
})

/** Starts an uploader that is killed at a call of the system, which may have to be of some paths. */
async function dieAt(site: CrashSite, call: string, nth: number, paths: string[]): Promise<void> {
  const daemon = await site.start({
    // strace counts the calls of each thread by itself.
    variables: { UV_THREADPOOL_SIZE: '1' },
    under: [
      // lsof closes each file that it might have inherited, which strace makes slow.
      ...['prlimit', '--nofile=256', 'strace', '-D', '-f', '-qq', '-o', '/dev/null'],
      ...['-e', `trace=${call}`, '-e', `inject=${call}:signal=SIGKILL:when=${nth}`],
      ...paths.flatMap((path) => ['-P', path]),
    ],
  })
  await daemon.ended
  assert.equal(daemon.process.signalCode, 'SIGKILL')
}

/** Records a segment, of which the parts are expected that it is divided into elsewhere. */
async function expectParts(t: TestContext, site: CrashSite, segment: string): Promise<void> {
  const path = await site.record(name, segment)
  const folders = foldersBelow(await temporaryFolder(t))
  await makeFolders(folders)
  await copyFile(path, join(folders.recordings, name))
  await finalize(finalizing(folders), join(folders.recordings, name), never)
  const parts = await mp4Files(folders.recordings)
  assert.equal(parts.length, 3)
  for (const file of parts) await site.expect(file, join(folders.recordings, file))
}
