import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { Folders } from '../../src/segments/folders.ts'
import { CrashSite, day, name } from './crash-site.ts'
import { finalized } from './workbench.ts'

const traced = 'rename,link,unlink,fsync,fdatasync,write,pwrite64,copy_file_range,sendfile'

/** What the uploader and its children did to the files of one shipping, in order, repetitions left out. */
async function stepsOfShipping(site: CrashSite, uploaded: string): Promise<string[]> {
  const trace = join(site.folders.base, 'trace')
  const daemon = await site.start({
    under: [
      // lsof closes each file that it might have inherited, which strace makes slow.
      ...['prlimit', '--nofile=256', 'strace', '-D', '-f', '-qq', '-y', '-o', trace],
      ...['-e', `trace=${traced}`],
    ],
  })
  await daemon.line(/moved to uploaded/)
  assert.equal(await daemon.stop(), 0)
  const text = (await readFile(trace, 'utf8')).replaceAll(uploaded, site.folders.uploaded)
  const steps = wholeCalls(text.split('\n')).map((call) => step(call, site.folders))
  return steps.filter((now, index) => now !== '' && now !== steps[index - 1])
}

/** Joins what strace splits where calls of several threads meet. */
function wholeCalls(lines: string[]): string[] {
  const begun = new Map<string, string>()
  return lines.flatMap((line) => {
    const [, thread = '', text = ''] = /^(\d+) +(.*)$/.exec(line) ?? []
    if (text.endsWith('<unfinished ...>')) {
      begun.set(thread, text.replace('<unfinished ...>', ''))
      return []
    }
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(text)
    return resumed ? [`${begun.get(thread)}${resumed[1]}`] : [text]
  })
}

/** `link FILE MOVED`; empty for a call that failed, or concerns something else. */
function step(call: string, { tmp, recordings, uploaded, ledger }: Folders): string {
  const words: [pattern: string, word: string][] = [
    [`${tmp}/finalize-.*`, 'remux'],
    [`${uploaded}/\\.moving-.*`, 'COPY'],
    [`${ledger}/${day}\\.ndjson`, 'LEDGER'],
    [`${recordings}/${name}`, 'FILE'],
    [`${uploaded}/${name}`, 'MOVED'],
    [recordings, 'recordings/'],
    [uploaded, 'uploaded/'],
    [ledger, 'ledger/'],
  ]
  const [, what = '', rest = ''] = /^(\w+)\((.*)\) += \d+/.exec(call) ?? []
  const paths = [...rest.matchAll(/(?:^|[^\\])["<](\/[^">]*)[">]/g)].flatMap(([, path = '']) =>
    words.filter(([pattern]) => new RegExp(`^${pattern}$`).test(path)).map(([, word]) => word),
  )
  return paths.length === 0
    ? ''
    : [what.replace(/sendfile|copy_file_range/, 'copy'), ...paths].join(' ')
}

describe('what a shipped file leaves on the disk', { concurrency: true }, () => {
  test('is synced in an order in which a power cut takes nothing that was acknowledged', async (t) => {
    const site = await CrashSite.open(t)
    await site.record(name)
    const steps = await stepsOfShipping(site, site.folders.uploaded)
    t.diagnostic(steps.join(', '))
    assert.deepEqual(steps, [
      // Its index, then its content.
      ...['write remux', 'write remux', 'fsync remux', 'rename remux FILE', 'fsync recordings/'],
      ...['write LEDGER', 'fsync LEDGER', 'fsync ledger/'],
      ...['fsync FILE', 'link FILE MOVED', 'fsync uploaded/', 'unlink FILE', 'fsync recordings/'],
    ])
    await site.assertEachOnce()
  })

  test('is copied to an uploaded/ on another file system, and synced, before the source goes', async (t) => {
    const other = await mkdtemp('/dev/shm/camera-to-s3-')
    t.after(async () => rm(other, { recursive: true }))
    const site = await CrashSite.open(t)
    await site.moveUploadedTo(other)
    await site.record(name, await finalized())
    const steps = await stepsOfShipping(site, other)
    t.diagnostic(steps.join(', '))
    assert.deepEqual(steps, [
      ...['write LEDGER', 'fsync LEDGER', 'fsync ledger/', 'fsync FILE'],
      ...['copy COPY FILE', 'fsync COPY', 'link COPY MOVED', 'unlink COPY'],
      ...['fsync uploaded/', 'unlink FILE', 'fsync recordings/'],
    ])
    await site.assertEachOnce()
  })
})
