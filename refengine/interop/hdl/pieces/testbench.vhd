-- Streams the words of a vector pack through the DUT, with random pauses, and dumps its results for refengine compare.
library ieee;
use ieee.std_logic_1164.all;
use ieee.math_real.all;
use std.textio.all;
use std.env.finish;
use work.layer_pkg.all;

entity testbench is
  generic (
    SEED    : positive := 1;       -- of the pauses
    STALL   : natural  := 25;      -- percent of the clocks on which a stream pauses
    TIMEOUT : positive := 200000  -- clocks without a word on any stream that end the simulation
  );
end entity;

architecture simulation of testbench is
  constant RESULTS : positive := IMAGES * OUT_HEIGHT * OUT_WIDTH * OUTPUTS / LANES;  -- beats of the result

  signal clock : std_logic := '0';
  signal reset : std_logic := '1';
  signal x_valid, x_ready, r_valid, r_ready, y_valid, y_ready : std_logic := '0';
  signal x_word : std_logic_vector(X_WORD_W - 1 downto 0);
  signal r_word : std_logic_vector(R_WORD_W - 1 downto 0);
  signal y_accumulator : std_logic_vector(LANES * ACC_W - 1 downto 0);  --: accumulator
  signal y_total : std_logic_vector(LANES * TOTAL_W - 1 downto 0);  --: total
  signal y_code : std_logic_vector(LANES * CODE_W - 1 downto 0);  --: code

  procedure draw(variable seed1, seed2 : inout positive; variable pause : out boolean) is
    variable number : real;
  begin
    uniform(seed1, seed2, number);
    pause := number * 100.0 < real(STALL);
  end procedure;

  -- Offers the words of a file, one after the other; each waits until it is taken.
  procedure feed(
    path : in string; own_seed : in positive; signal clk, rst, ready : in std_logic;
    signal valid : out std_logic; signal word : out std_logic_vector
  ) is
    file words : text open read_mode is path;
    variable row : line;
    variable value : std_logic_vector(word'range);
    variable seed1, seed2 : positive := own_seed;
    variable pause : boolean;
  begin
    wait until rising_edge(clk) and rst = '0';
    while not endfile(words) loop
      readline(words, row);
      hread(row, value);
      draw(seed1, seed2, pause);
      while pause loop
        wait until rising_edge(clk);
        draw(seed1, seed2, pause);
      end loop;
      valid <= '1';
      word <= value;
      wait until rising_edge(clk) and ready = '1';
      valid <= '0';
      word <= (word'range => 'X');
    end loop;
    wait;
  end procedure;
begin
  clock <= not clock after 5 ns;
  reset <= '0' after 20 ns;

  dut : entity work.dut
    port map (
      clock => clock, reset => reset,
      x_valid => x_valid, x_ready => x_ready, x_word => x_word,
      r_valid => r_valid, r_ready => r_ready, r_word => r_word,
      y_accumulator => y_accumulator,  --: accumulator
      y_total => y_total,  --: total
      y_code => y_code,  --: code
      y_valid => y_valid, y_ready => y_ready
    );

  feed(X_FILE, SEED, clock, reset, x_ready, x_valid, x_word);

  residual : if HAS_RESIDUAL /= 0 generate
    feed(R_FILE, SEED + 1, clock, reset, r_ready, r_valid, r_word);
  end generate;

  process
    variable seed1, seed2 : positive := SEED + 2;
    variable pause : boolean;
  begin
    wait until rising_edge(clock);
    draw(seed1, seed2, pause);
    y_ready <= '0' when pause else '1';
  end process;

  process
    file accumulators : text open write_mode is "dump/" & LAYER & ".accumulator.memh";  --: accumulator
    file totals : text open write_mode is "dump/" & LAYER & ".total.memh";  --: total
    file codes : text open write_mode is "dump/" & LAYER & ".code.memh";  --: code
    variable row : line;
    variable received, idle : natural := 0;
    variable refused : boolean := false;  -- whether a result waited at the last clock, and what it was
    variable waiting_accumulator : std_logic_vector(y_accumulator'range);  --: accumulator
    variable waiting_total : std_logic_vector(y_total'range);  --: total
    variable waiting_code : std_logic_vector(y_code'range);  --: code
  begin
    wait until rising_edge(clock) and reset = '0';
    assert not (refused and y_valid /= '1')
      report "y_valid fell before y_ready came: a result is lost" severity failure;
    assert not refused or y_accumulator = waiting_accumulator  --: accumulator
      report "y_accumulator changed before y_ready came" severity failure;  --: accumulator
    assert not refused or y_total = waiting_total  --: total
      report "y_total changed before y_ready came" severity failure;  --: total
    assert not refused or y_code = waiting_code  --: code
      report "y_code changed before y_ready came" severity failure;  --: code
    waiting_accumulator := y_accumulator;  --: accumulator
    waiting_total := y_total;  --: total
    waiting_code := y_code;  --: code
    refused := y_valid = '1' and y_ready = '0';
    idle := idle + 1;
    if (x_valid and x_ready) = '1' or (r_valid and r_ready) = '1' then
      idle := 0;
    end if;
    if (y_valid and y_ready) = '1' then
      idle := 0;
      assert received < RESULTS report "a result came after the last" severity failure;
      hwrite(row, y_accumulator);  --: accumulator
      writeline(accumulators, row);  --: accumulator
      hwrite(row, y_total);  --: total
      writeline(totals, row);  --: total
      hwrite(row, y_code);  --: code
      writeline(codes, row);  --: code
      received := received + 1;
    end if;
    if received = RESULTS and idle = 100 then
      finish;
    end if;
    if idle = TIMEOUT then
      report to_string(received) & " of " & to_string(RESULTS) & " results came, then nothing for " & to_string(TIMEOUT) & " clocks";
      finish;
    end if;
  end process;
end architecture;
