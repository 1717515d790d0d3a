import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { OpenFiles, parseLsof } from '../../src/daemon/open-files.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

/** A process that has a file open for appending. */
async function writer(t: TestContext, file: string): Promise<number> {
  const child = spawn(
    'sh',
    ['-c', 'exec 7>>"$0"; echo footage >&7; echo open; exec sleep 60', file],
    {
      stdio: ['ignore', 'pipe', 'ignore'],
    },
  )
  t.after(() => child.kill('SIGKILL'))
  await once(child.stdout, 'data')
  return child.pid ?? 0
}

for (const source of ['lsof', 'proc'] as const)
  test(`by ${source}, a writer is seen under any name and through links, and its files by its PID`, async (t) => {
    const path = process.env.PATH
    const folder = await temporaryFolder(t)
    mkdirSync(join(folder, 'real'))
    symlinkSync(join(folder, 'real'), join(folder, 'link'))
    const file = join(folder, 'link', "Hof é 'x'\\ 日本\n\u0001.mp4")
    const quiet = join(folder, 'link', 'quiet.mp4')
    writeFileSync(quiet, '')
    const pid = await writer(t, file)
    // Without lsof on the PATH, /proc answers.
    if (source === 'proc') process.env.PATH = '/nowhere'
    t.after(() => (process.env.PATH = path))
    const openFiles = new OpenFiles()
    const holders = await openFiles.at([file, quiet])
    assert.deepEqual(
      holders?.map(({ pid: holder, path: open, writable, bytes }) => [
        holder,
        open,
        writable,
        bytes,
      ]),
      [[pid, file, true, statSync(file).size]],
    )
    const files = await openFiles.of([pid])
    assert.ok(files?.some(({ path: open, writable }) => writable && open.includes('日本')))
    assert.equal(openFiles.source, source)
  })

test("lsof's field output is read, whatever its locale could not print", () => {
  const output =
    'p12\nf3\naw\nD0x10\ns512\ni7\nn/a/b\nf4\nar\nD0x10\ni8\nn/a/\\xc3\\xa9\\\\\np13\nf5\nau\nn/ü\n'
  assert.deepEqual(parseLsof(output), [
    { pid: 12, descriptor: '3', path: '/a/b', writable: true, bytes: 512, id: '16:7' },
    { pid: 12, descriptor: '4', path: '/a/é\\', writable: false, bytes: 0, id: '16:8' },
    { pid: 13, descriptor: '5', path: '/ü', writable: true, bytes: 0, id: '0:' },
  ])
})
