-- The last step of a layer, as refengine's contract has it (docs/contract.md, Requantize): code = clip((total + half) >> shift).
-- It reads the totals and shifts of a vector pack and gives a code each clock, channel after channel.
library ieee;
use ieee.std_logic_1164.all;
use ieee.numeric_std.all;
use std.textio.all;

entity requantize is
  generic (
    TOTALS   : string  := "total.memh";
    SHIFTS   : string  := "shift.memh";
    RESULTS  : string  := "code.txt";  -- a decimal number a line, by textio
    WORDS    : natural := 1;
    CHANNELS : natural := 1;           -- 1 where all channels have one shift
    TOTAL_W  : natural := 64;
    SHIFT_W  : natural := 6;
    LO       : integer := 0;
    HI       : integer := 255;
    FLOOR    : boolean := false        -- planted mistake: half is not added
  );
end entity;

architecture simulation of requantize is
  signal clock : std_logic := '0';
  signal valid : std_logic := '0';
  signal code  : std_logic_vector(7 downto 0);
  signal done  : boolean := false;
begin
  clock <= not clock after 5 ns when not done;

  process
    file total_file  : text open read_mode is TOTALS;
    file shift_file  : text open read_mode is SHIFTS;
    file result_file : text open write_mode is RESULTS;
    type shifts_t is array (0 to CHANNELS - 1) of natural;
    variable row    : line;
    variable total  : std_logic_vector(TOTAL_W - 1 downto 0);
    variable shift  : std_logic_vector(SHIFT_W - 1 downto 0);
    variable amount : shifts_t;
    variable sum    : signed(TOTAL_W downto 0);
    variable half   : signed(TOTAL_W downto 0);
    variable result : integer;
  begin
    for channel in shifts_t'range loop
      readline(shift_file, row);
      hread(row, shift);
      amount(channel) := to_integer(unsigned(shift));
    end loop;
    for word in 0 to WORDS - 1 loop
      readline(total_file, row);
      hread(row, total);
      half := (others => '0');
      if amount(word mod CHANNELS) > 0 and not FLOOR then
        half(amount(word mod CHANNELS) - 1) := '1';
      end if;
      sum := shift_right(resize(signed(total), TOTAL_W + 1) + half, amount(word mod CHANNELS));
      if sum < LO then
        result := LO;
      elsif sum > HI then
        result := HI;
      else
        result := to_integer(sum);
      end if;
      code <= std_logic_vector(to_signed(result, 9)(7 downto 0));
      valid <= '1';
      write(row, result);
      writeline(result_file, row);
      wait until rising_edge(clock);
      if word mod 7 = 3 then  -- a gap, in which the code means nothing
        valid <= '0';
        code  <= (others => 'X');
        wait until rising_edge(clock);
      end if;
    end loop;
    valid <= '0';
    wait until rising_edge(clock);
    done <= true;
    wait;
  end process;
end architecture;
