"""A conversation in a real terminal: editing, history, commands, Ctrl-C, Ctrl-D."""
import os
import pty
import select
import time
import unittest

import program


class Terminal:
    """The program under a pseudo terminal."""

    def __init__(self, *arguments):
        self.seen = ""
        self.child, self.terminal = pty.fork()
        if self.child == 0:
            environment = {**program.clean_environment(), "TERM": "xterm"}
            os.execve(program.BINARY, [program.BINARY, *arguments], environment)

    def type(self, text):
        os.write(self.terminal, text.encode())

    def expect(self, text, seconds=30):
        """Reads until `text` has come after what was expected before."""
        deadline = time.monotonic() + seconds
        while text not in self.seen:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.terminal], [], [], left)[0]:
                raise AssertionError(f"'{text}' did not come; this did: {self.seen!r}")
            try:
                self.seen += os.read(self.terminal, 65536).decode(errors="replace")
            except OSError:
                raise AssertionError(f"the program ended before '{text}': {self.seen!r}")
        before, self.seen = self.seen.split(text, 1)
        return before

    def exit_code(self):
        _, status = os.waitpid(self.child, 0)
        os.close(self.terminal)
        return os.waitstatus_to_exitcode(status)


class Chat(unittest.TestCase):
    def test_a_whole_conversation(self):
        chat = Terminal("chat", "builtin", "--temperature", "0")
        chat.expect(">>> ")
        chat.type("How do I serve a model?\r")
        chat.expect("serve")
        chat.expect(">>> ")
        chat.type("/help\r")
        chat.expect("/regen")
        chat.expect(">>> ")
        chat.type("/tokens\r")
        chat.expect(" of ")
        chat.expect(">>> ")
        chat.type("/set temperature 7\r")
        chat.expect("needs a number from 0 to 2")
        chat.expect(">>> ")
        chat.type('"""\r')
        chat.expect("... ")
        chat.type('Hello\r')
        chat.expect("... ")
        chat.type('there"""\r')
        chat.expect(">>> ")
        chat.type("half a line\x03")  # Ctrl-C drops the line and stays
        chat.expect(">>> ")
        chat.type("/undo\r")
        chat.expect("Forgotten.")
        chat.expect(">>> ")
        chat.type("/clear\r")
        chat.expect("A new conversation.")
        chat.expect(">>> ")
        chat.type("\x04")  # Ctrl-D
        self.assertEqual(chat.exit_code(), 0)

    def test_interrupt_ends_the_answer_and_not_the_program(self):
        # Slow enough that the answer is still under way when the key arrives, on a busy machine too.
        chat = Terminal("chat", "builtin", "--temperature", "0", "--ignore-eos", "--cpu", "portable", "--threads", "1",
                        "--tier", "exact")
        chat.expect(">>> ")
        chat.type("Tell me a very long story\r")
        chat.expect("Once")
        chat.type("\x03")
        self.assertIn("(interrupted)", chat.expect(">>> "))
        chat.type("/bye\r")
        self.assertEqual(chat.exit_code(), 0)

    def test_through_a_pipe(self):
        run = program.hearth("chat", "builtin", "--temperature", "0",
                             text="How do I serve a model?\n/quit\nnever asked\n")
        self.assertIn("hearth serve", run.stdout)
        self.assertNotIn(">>>", run.stdout)


if __name__ == "__main__":
    program.main()
