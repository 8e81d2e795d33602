"""What others feel of 512 clients that send their heads byte by byte and 512 open streams: p99 of
calls at a given rate without and with them, in turn."""

import asyncio
import contextlib
import threading

import corpus
import harness
from gateway import RunningAegis
from harness import BenchError, ToolServer, median

SIZE = corpus.Size(100, 10)
SLOW = 512
STREAMS = 512
RATE = 2_000  # calls/s of the others
CONNECTIONS = 32
MOST_RATIO = 1.5
EVENT = b"e\r\ndata: event\r\n\n\r\n"  # a chunk
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)


class Crowd:
    """A tool whose answers never end, those who listen to it, and those who never say all."""

    def __init__(self, address):
        self.address = address  # of the gateway
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.tasks = []  # kept, or they would be collected
        self.listening = 0  # streams on which an event has come
        self.refused = 0  # slow clients that were cut off

    def __enter__(self):
        self.thread.start()
        server = self._call(asyncio.start_server(self._stream, "127.0.0.1", 0, backlog=1024))
        self.port = server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_):
        self.leave()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()

    def _call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(60)

    async def _stream(self, reader, writer):
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(STREAM_HEAD)
            while True:
                writer.write(EVENT)
                await writer.drain()
                await asyncio.sleep(1)

    async def _listen(self, request):
        reader, writer = await asyncio.open_connection(*self.address)
        writer.write(request)
        await reader.readuntil(b"data: event")
        self.listening += 1
        while await reader.read(4096):
            pass

    async def _dawdle(self):
        while True:
            reader, writer = await asyncio.open_connection(*self.address)
            writer.write(b"POST /tools/x/y HTTP/1.1\r\nHost: a\r\nX-Slow: ")
            with contextlib.suppress(ConnectionError):
                while not reader.at_eof():
                    writer.write(b"a")
                    await writer.drain()
                    await asyncio.sleep(1)
                    if reader._buffer:  # the gateway's 408
                        break
            self.refused += 1
            writer.close()

    def come(self, request):
        async def start():
            self.tasks = [asyncio.create_task(self._listen(request)) for _ in range(STREAMS)]
            self.tasks += [asyncio.create_task(self._dawdle()) for _ in range(SLOW)]
            for _ in range(300):
                if self.listening >= STREAMS:
                    return
                await asyncio.sleep(0.1)
            raise BenchError(f"{self.listening} of {STREAMS} streams are open after 30 s")

        self.listening = 0
        self._call(start())

    def leave(self):
        async def stop():
            ended = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in ended:
                task.cancel()
            await asyncio.gather(*ended, return_exceptions=True)

        self._call(stop())


def run(work, quick):
    runs, seconds = (1, 2.0) if quick else (3, 10.0)
    streaming = corpus.tool_name(0)
    made = corpus.cases(SIZE, count=2000, denied_share=0)
    with contextlib.ExitStack() as stack:
        tool = stack.enter_context(ToolServer(harness.GENERATOR_CPU))
        aegis = stack.enter_context(RunningAegis(work, SIZE, tool.port))
        crowd = stack.enter_context(Crowd(("127.0.0.1", aegis.port)))
        aegis.api("POST", f"/api/v1/tools/{streaming}",
                  {"base_url": f"http://127.0.0.1:{crowd.port}"})  # fmt: skip
        tokens = aegis.tokens(made)
        others = [case for case in made if case.tool != streaming]
        stream = next(case for case in made if case.tool == streaming)
        requests = corpus.write_requests(work / "requests", others, tokens)
        rounds = []
        for number in range(runs):
            one = {}
            for name in ("alone", "crowded"):
                if name == "crowded":
                    crowd.come(corpus.http_request(stream, tokens[stream.agent]))
                result = harness.run_load(
                    aegis.port, requests, connections=CONNECTIONS, seconds=seconds, warmup=1,
                    rate=RATE,
                )  # fmt: skip
                one[name] = result["latency_us"]
                if name == "crowded":
                    one["memory_mib"] = harness.memory_mib(aegis.pid)
                    crowd.leave()
            rounds.append(one)
            print(f"  round {number + 1}/{runs}: p99 {one['alone']['p99']:,.0f} µs alone, "
                  f"{one['crowded']['p99']:,.0f} µs in the crowd; {one['memory_mib']:.1f} MiB",
                  flush=True)  # fmt: skip
    ratio = median([one["crowded"]["p99"] / one["alone"]["p99"] for one in rounds])
    missed = "" if ratio <= MOST_RATIO else "  MISSED"
    print(f"  {SLOW} slow clients and {STREAMS} open streams: p99 × {ratio:.2f} "
          f"(bar ≤ {MOST_RATIO}){missed}; {crowd.refused} slow clients were cut off")  # fmt: skip
    return {"rate": RATE, "p99_ratio": ratio, "rounds": rounds, "cut_off": crowd.refused}
