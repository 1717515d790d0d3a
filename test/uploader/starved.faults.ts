import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, readFile, readdir, rm, rmdir, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { CrashSite, key, mp4Files, name, sha } from './crash-site.ts'
import { foreign, fragmented } from './workbench.ts'

const isRoot = process.getuid?.() === 0
const mebibyte = 1024 * 1024

/** What a tool does until it is well again; `missing` is none of its doing. */
const illnesses = {
  'is missing': '',
  'is killed': 'kill -9 $$',
  'runs out of file handles': 'ulimit -n 3',
  'cannot be run': 'exit 126',
}

// They mostly wait: for two seconds of silence around each file, and for the next try.
describe('the uploader', { concurrency: 6 }, () => {
  for (const tool of ['ffprobe', 'ffmpeg'])
    for (const [illness, script] of Object.entries(illnesses))
      test(`waits where ${tool} ${illness}, and ships when it is well again`, async (t) => {
        const site = await CrashSite.open(t)
        const tools = join(site.folders.base, 'tools')
        await mkdir(tools)
        for (const other of ['ffprobe', 'ffmpeg', 'lsof', 'flock', 'setpriv'])
          if (other !== tool) await symlink(whereIs(other), join(tools, other))
        const well = join(site.folders.base, 'well')
        const wrapper = `#!/bin/sh\n[ -e '${well}' ] || { ${script || ':'}; }\nexec ${whereIs(tool)} "$@"\n`
        const install = async () => writeFile(join(tools, tool), wrapper, { mode: 0o700 })
        if (script !== '') await install()
        // A file of our recorder's takes none of them.
        await site.record(name, await foreign())
        const daemon = await site.start({ variables: { PATH: tools } })
        t.diagnostic(await daemon.line(/WARNING.*(uploads wait|upload failed)/))
        assert.deepEqual(await mp4Files(site.folders.recordings), [name])
        await writeFile(well, '')
        await install()
        await site.drained()
        assert.equal(await daemon.stop(), 0)
        await site.assertEachOnce()
      })

  test('does not take a disk that fails to read for a file that does not play', async (t) => {
    const site = await CrashSite.open(t)
    const path = await site.record(name)
    const ill = await site.start({
      // strace counts the calls of each thread by itself.
      variables: { UV_THREADPOOL_SIZE: '1' },
      under: [
        ...['prlimit', '--nofile=256', 'strace', '-D', '-f', '-qq', '-o', '/dev/null', '-P', path],
        ...['-e', 'trace=read,pread64', '-e', 'inject=read,pread64:error=EIO:when=2+'],
      ],
    })
    t.diagnostic(await ill.line(/WARNING.*upload failed/))
    assert.equal(await ill.stop(), 0)
    assert.deepEqual(await readdir(site.folders.quarantine), [])
    const well = await site.start()
    await site.drained()
    assert.equal(await well.stop(), 0)
    await site.assertEachOnce()
  })

  test('without file handles loses and quarantines nothing, and goes on when it has some', async (t) => {
    const site = await CrashSite.open(t)
    const daemon = await site.start()
    await daemon.line(/the store answers/)
    const limit = (soft: string): void => {
      execFileSync('prlimit', ['--pid', String(daemon.process.pid), `--nofile=${soft}:`])
    }
    const open = (await readdir(`/proc/${daemon.process.pid}/fd`)).map(Number)
    let lowest = 0
    while (open.includes(lowest)) lowest += 1
    // The first is enough for nothing, whatever has been closed meanwhile; each other for a little
    // more than the one before: to look, to probe, to remux, to upload.
    const limits = [3, ...[0, 2, 4, 7, 10, 14].map((more) => lowest + more)]
    for (const [index, soft] of limits.entries()) {
      limit(String(soft))
      await site.record(`Front_20250125_1530${10 + index}.mp4`)
      const from = daemon.lines.length
      await daemon.line(/WARNING|moved to/, { from, withinMs: 4000 }).catch(() => {})
    }
    const said = daemon.lines.filter((line) => /WARNING/.test(line))
    t.diagnostic(`said: ${said.map((line) => line.slice(36)).join(' | ')}`)
    assert.ok(said.some((line) => /EMFILE|too many open files/i.test(line)))
    limit('4096')
    await site.drained(90_000)
    assert.equal(await daemon.stop(), 0)
    await site.assertEachOnce()
  })

  test(
    'has one object of a file that went up as it was for want of room, though killed, and room since',
    { skip: isRoot ? false : 'needs root, to mount a small file system' },
    async (t) => {
      const base = await mkdtemp(join(tmpdir(), 'camera-to-s3-small-'))
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=40m', 'tmpfs', base])
      t.after(async () => {
        execFileSync('umount', ['--lazy', base])
        await rmdir(base)
      })
      const site = await CrashSite.open(t, base)
      await site.record(name)
      await writeFile(join(base, 'ballast'), Buffer.alloc(30 * mebibyte))
      const settings = { MIN_FREE_DISK_GB: 0 }
      const first = await site.start({ settings })
      site.server.options.onRequest = ({ method }) => {
        if (method === 'HEAD' && site.server.objects.has(key)) first.process.kill('SIGKILL')
      }
      t.diagnostic(await first.line(/WARNING.*uploading it as it is/))
      await first.ended
      delete site.server.options.onRequest
      await rm(join(base, 'ballast'))
      const second = await site.start({ settings })
      await site.drained()
      assert.equal(await second.stop(), 0)
      await site.assertEachOnce()
      assert.equal(sha(await site.server.content(key)), sha(await readFile(await fragmented())))
    },
  )

  test('finds new files by its rescan where inotify is exhausted', async (t) => {
    const site = await CrashSite.open(t)
    const daemon = await site.start({
      under: [
        ...['prlimit', '--nofile=256', 'strace', '-D', '-f', '-qq', '-o', '/dev/null'],
        ...['-e', 'trace=inotify_add_watch', '-e', 'inject=inotify_add_watch:error=ENOSPC'],
      ],
    })
    t.diagnostic(await daemon.line(/WARNING.*cannot be told of new files/))
    await site.record(name)
    await site.drained()
    assert.equal(await daemon.stop(), 0)
    await site.assertEachOnce()
  })

  test('finds new files by its rescan when the kernel has dropped the events', async (t) => {
    const site = await CrashSite.open(t)
    const daemon = await site.start({ settings: { RESCAN_SECONDS: 5 } })
    await daemon.line(/the store answers/)
    daemon.process.kill('SIGSTOP')
    const most = Number(await readFile('/proc/sys/fs/inotify/max_queued_events', 'utf8'))
    const noise = join(site.folders.recordings, 'noise')
    // Each is two events at least; more than the kernel keeps for a process that doesn't read them.
    for (let n = 0; n < most / 2 + 1000; n += 1) {
      await writeFile(noise, '')
      await rm(noise)
    }
    await site.record(name)
    daemon.process.kill('SIGCONT')
    await site.drained()
    assert.equal(await daemon.stop(), 0)
    await site.assertEachOnce()
  })
})

function whereIs(program: string): string {
  return execFileSync('sh', ['-c', `command -v ${program}`])
    .toString()
    .trim()
}
