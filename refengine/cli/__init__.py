"""The command line: a verb a file.  Each parses, calls one public function and prints."""
