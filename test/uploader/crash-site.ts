import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { copyFile, readFile, readdir, rmdir, symlink, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { promisify } from 'node:util'
import { crc32 } from 'node:zlib'
import { foldersBelow, makeFolders, type Folders } from '../../src/segments/folders.ts'
import { crcText } from '../../src/uploader/fingerprint.ts'
import type { LedgerLine } from '../../src/uploader/ledger.ts'
import { journalLines } from '../support/journal-lines.ts'
import { startDaemon, type RunningDaemon } from '../support/running-daemon.ts'
import { S3Server } from '../support/s3-server.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { fragmented } from './workbench.ts'

const run = promisify(execFile)

export const name = 'Front_20250125_153045.mp4'
export const key = `recordings/2025/01/25/${name}`
export const day = '2025-01-25'

export interface StartOptions {
  settings?: Record<string, string | number>
  variables?: NodeJS.ProcessEnv
  /** What the uploader is started under. */
  under?: string[]
}

/** An installation whose real uploader is killed, starved and lied to, and the S3 server that it ships to. */
export class CrashSite {
  readonly folders: Folders
  readonly server: S3Server
  /** By name: what a player finds in each file that was recorded. */
  readonly #footage = new Map<string, string>()
  readonly #t: TestContext

  static async open(t: TestContext, base?: string): Promise<CrashSite> {
    const server = await S3Server.start()
    t.after(async () => server.close())
    const site = new CrashSite(t, server, foldersBelow(base ?? (await temporaryFolder(t))))
    await makeFolders(site.folders)
    return site
  }

  private constructor(t: TestContext, server: S3Server, folders: Folders) {
    this.#t = t
    this.server = server
    this.folders = folders
  }

  /** Makes uploaded/ a link to a folder elsewhere. */
  async moveUploadedTo(folder: string): Promise<void> {
    await rmdir(this.folders.uploaded)
    await symlink(folder, this.folders.uploaded)
  }

  path(file: string): string {
    return join(this.folders.recordings, file)
  }

  /** Puts a finished file, as the recorder leaves it unless told otherwise, into recordings/. */
  async record(file: string, source?: string): Promise<string> {
    const path = this.path(file)
    await copyFile(source ?? (await fragmented()), path)
    const recordedMs = new Date('2025-01-25T15:30:47').getTime()
    await utimes(path, recordedMs / 1000, recordedMs / 1000)
    await this.expect(file, path)
    return path
  }

  /** Takes a file for one that has to be in S3 in the end. */
  async expect(file: string, path: string): Promise<void> {
    this.#footage.set(file, await footageOf(path))
  }

  async start({ settings, variables, under }: StartOptions = {}): Promise<RunningDaemon> {
    const { bucket, accessKeyId, secretAccessKey } = this.server.options
    const all = {
      ...{ AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey },
      ...{ S3_BUCKET_NAME: bucket, S3_ENDPOINT: this.server.url, RESCAN_SECONDS: 1 },
      ...settings,
    }
    return startDaemon(this.#t, 'uploader', this.folders.base, all, variables, under)
  }

  /** Resolves when recordings/ holds no segment any more. */
  async drained(atMostMs = 60_000): Promise<void> {
    const isEmpty = async () => (await mp4Files(this.folders.recordings)).length === 0
    await until(atMostMs, 'recordings/ is empty', isEmpty)
  }

  ledger(): LedgerLine[] {
    return journalLines(this.folders.ledger)
  }

  /** Forgets a file that is meant to end otherwise. */
  forget(file: string): void {
    this.#footage.delete(file)
  }

  /** Every recorded file lies in uploaded/, and in S3 as one object, with one line; nothing else does. */
  async assertEachOnce(): Promise<void> {
    const { folders, server } = this
    const names = [...this.#footage.keys()].sort()
    assert.deepEqual(await readdir(folders.recordings), ['open'])
    for (const folder of [folders.open, folders.quarantine, folders.tmp])
      assert.deepEqual(await readdir(folder), [], folder)
    assert.deepEqual((await readdir(folders.uploaded)).sort(), names)
    const ledger = this.ledger()
    assert.deepEqual(ledger.map(({ file }) => file).sort(), names)
    assert.deepEqual([...server.objects.keys()].sort(), ledger.map((line) => line.key).sort())
    assert.equal(server.uploads.size, 0, 'an upload in parts was left behind')
    for (const line of ledger) {
      const path = join(folders.uploaded, line.file)
      const content = await readFile(path)
      assert.equal(sha(await server.content(line.key)), sha(content), line.file)
      const sum = crcText(crc32(content))
      assert.deepEqual([line.bytes, line.crc32], [content.length, sum], line.file)
      assert.equal(await footageOf(path), this.#footage.get(line.file), line.file)
    }
  }
}

export async function mp4Files(folder: string): Promise<string[]> {
  return (await readdir(folder)).filter((file) => file.endsWith('.mp4')).sort()
}

export function sha(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex')
}

/** The hash of each stream's packets, which a remux doesn't change. */
export async function footageOf(path: string): Promise<string> {
  const output = ['-map', '0', '-c', 'copy', '-f', 'streamhash', '-hash', 'md5', '-']
  const { stdout } = await run('ffmpeg', ['-v', 'error', '-i', `file:${path}`, ...output])
  return stdout
}

export async function until(
  atMostMs: number,
  what: string,
  holds: () => Promise<boolean>,
): Promise<void> {
  const deadlineMs = performance.now() + atMostMs
  while (!(await holds())) {
    if (performance.now() > deadlineMs) throw new Error(`not within ${atMostMs} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
