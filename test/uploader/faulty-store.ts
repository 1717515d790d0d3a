import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { LedgerLine } from '../../src/uploader/ledger.ts'
import { FaultProxy } from '../support/fault-proxy.ts'
import { journalLines } from '../support/journal-lines.ts'
import { startDaemon, type RunningDaemon } from '../support/running-daemon.ts'
import { S3Server, type S3ServerOptions } from '../support/s3-server.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { padded } from './workbench.ts'

type Settings = Record<string, string | number>

/** An installation whose uploader reaches its S3 server through a proxy with faults. */
export class FaultyStore {
  readonly server: S3Server
  readonly proxy: FaultProxy
  readonly folder: string
  readonly #t: TestContext
  #files = 0

  static async start(t: TestContext, options: S3ServerOptions = {}): Promise<FaultyStore> {
    const server = await S3Server.start(options)
    t.after(async () => server.close())
    const proxy = await FaultProxy.start(server.url)
    t.after(async () => proxy.close())
    const folder = await temporaryFolder(t)
    await mkdir(join(folder, 'recordings'))
    return new FaultyStore(t, server, proxy, folder)
  }

  private constructor(t: TestContext, server: S3Server, proxy: FaultProxy, folder: string) {
    this.#t = t
    this.server = server
    this.proxy = proxy
    this.folder = folder
  }

  async uploader(more: Settings = {}): Promise<RunningDaemon> {
    const { bucket, accessKeyId, secretAccessKey } = this.server.options
    return startDaemon(this.#t, 'uploader', this.folder, {
      ...{ AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey },
      ...{ S3_BUCKET_NAME: bucket, S3_ENDPOINT: this.proxy.url, RESCAN_SECONDS: 1, ...more },
    })
  }

  /** Puts a finished segment, unlike any other, into recordings/; its name. */
  async record(bytes = 300_000): Promise<string> {
    this.#files += 1
    const name = `Front_20250125_1530${String(this.#files).padStart(2, '0')}.mp4`
    await padded(join(this.folder, 'recordings', name), bytes + this.#files)
    return name
  }

  async recordMany(count: number): Promise<string[]> {
    const names: string[] = []
    while (names.length < count) names.push(await this.record())
    return names
  }

  keyOf(name: string): string {
    return `recordings/2025/01/25/${name}`
  }

  /** Stores an object behind the uploader's back. */
  async put(name: string, content: Buffer, etag = md5(content)): Promise<void> {
    const path = join(this.folder, `${name}.stored`)
    await writeFile(path, content)
    const object = { path, bytes: content.length, etag, lastModified: new Date(), headers: {} }
    this.server.objects.set(this.keyOf(name), object)
  }

  count(daemon: RunningDaemon, pattern: RegExp): number {
    return daemon.lines.filter((line) => pattern.test(line)).length
  }

  /** Resolves once that many files are shipped. */
  async shipped(daemon: RunningDaemon, count: number, withinMs = 60_000): Promise<void> {
    while (this.count(daemon, /moved to uploaded/) < count)
      await daemon.line(/moved to uploaded/, { from: daemon.lines.length, withinMs })
  }

  /** All that was recorded is in the bucket and in uploaded/, once, and proven by one line each. */
  async assertAllOnce(names: string[], mostIncomplete = 0): Promise<void> {
    assert.deepEqual(await readdir(join(this.folder, 'recordings')), ['open'])
    assert.deepEqual(await readdir(join(this.folder, 'uploaded')), names)
    const files = names.map(async (name) => readFile(join(this.folder, 'uploaded', name)))
    const stored = [...this.server.objects.keys()].map(async (key) => this.server.content(key))
    assert.deepEqual(await hashes(stored), await hashes(files))
    assert.deepEqual(
      this.ledger()
        .map(({ file }) => file)
        .sort(),
      names,
    )
    const { size } = this.server.uploads
    assert.ok(size <= mostIncomplete, `${size} multipart uploads are left incomplete`)
  }

  ledger(): LedgerLine[] {
    return journalLines(join(this.folder, 'data', 'ledger'))
  }
}

function md5(content: Buffer): string {
  return createHash('md5').update(content).digest('hex')
}

async function hashes(contents: Promise<Buffer>[]): Promise<string[]> {
  const all = await Promise.all(contents)
  return all.map((content) => createHash('sha256').update(content).digest('hex')).sort()
}
